// Makes the set-up's pages a little more comfortable. Everything works without it.
"use strict";

for (const element of document.querySelectorAll("[data-without-script]")) element.remove();
for (const element of document.querySelectorAll("[data-with-script]")) element.hidden = false;

// The user id, as it is being typed.
const preview = document.getElementById("preview");
const typed = document.querySelector("#server_name, #owner-username");
if (preview && typed) {
  const show = () => {
    let text = typed.value.trim().toLowerCase();
    if (typed.id === "server_name") text = text.replace(/^[a-z]+:\/\//, "").replace(/^@[^:]*:/, "").replace(/\/.*$/, "");
    else text = text.replace(/^@/, "").replace(/:.*$/, "");
    preview.querySelector("b").textContent = text || preview.dataset.empty;
  };
  typed.addEventListener("input", show);
  show();
}

for (const box of document.querySelectorAll("[data-reveal]")) {
  box.addEventListener("change", () => {
    for (const id of box.dataset.reveal.split(" ")) document.getElementById(id).type = box.checked ? "text" : "password";
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  // Browsers let pages use the clipboard only over a secure connection.
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

// One answer may take a while: a second click must not send the form again.
for (const form of document.forms) {
  form.addEventListener("submit", () => form.setAttribute("aria-busy", "true"));
}
addEventListener("pageshow", () => { for (const form of document.forms) form.removeAttribute("aria-busy"); });

// The certificate: ask again, and take over only what has changed, so that nothing jumps and no focus is lost.
const order = document.getElementById("order");
if (order && order.dataset.state !== "done") {
  const ask = async () => {
    try {
      const answer = await fetch(location.pathname, { cache: "no-store" });
      if (answer.redirected || !answer.ok) return location.reload();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("order");
      if (!fresh) return location.reload();
      const now = document.getElementById("order");
      if (fresh.dataset.state !== now.dataset.state) return location.reload();
      if (fresh.innerHTML !== now.innerHTML) now.replaceChildren(...document.importNode(fresh, true).childNodes);
    } catch {
      // The server may be changing its certificate this very moment: ask again.
    }
    setTimeout(ask, order.dataset.state === "ordering" ? 1500 : 15000);
  };
  setTimeout(ask, 1500);
}
