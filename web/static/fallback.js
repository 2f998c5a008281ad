// Tells the app that opened this page that the step is done (client-server API, "Fallback").
"use strict";
if (window.onAuthDone) {
  window.onAuthDone();
} else if (window.opener && window.opener.postMessage) {
  window.opener.postMessage("authDone", "*");
}
