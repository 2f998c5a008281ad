"""Failed orders in plain words: what happened, what it means, what to do. Pure."""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from appliance.tls.orders import OrderError

LASTING = frozenset(
    {
        "rejectedIdentifier",
        "unsupportedIdentifier",
        "externalAccountRequired",
        "userActionRequired",
        "no-http-01",
        "ca-file",
        "badCSR",
        "badPublicKey",
        "badSignatureAlgorithm",
    }
)
"""Problems that stay until someone changes something: a quick retry would bring the same."""

_WORD = re.compile(r"(?<!\w)[0-9a-fA-F.:]{3,}")
_HOME = tuple(ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_SHARED = ipaddress.ip_network("100.64.0.0/10")


def explain(problem: OrderError, directory: str) -> str:
    """Sentences for the owner.

    Args:
        problem: why an order came to nothing.
        directory: the address of the ACME directory that it was placed at.
    """
    authority = authority_name(directory)
    sentence = _SENTENCES.get(problem.kind, _refused)(problem, authority)
    return sentence[0].upper() + sentence[1:]


def authority_name(directory: str) -> str:
    """What people call the authority behind a directory address."""
    host = urlsplit(directory).hostname or directory
    if host.endswith("staging-v02.api.letsencrypt.org"):
        return "Let's Encrypt's test authority"
    return "Let's Encrypt" if host.endswith(".letsencrypt.org") else f"the authority at {host}"


def _names(problem: OrderError) -> str:
    return " and ".join(problem.names) or "this server's name"


def _address(problem: OrderError) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that the authority tried, as far as its words tell."""
    for word in _WORD.findall(problem.detail):
        for candidate in (word.rstrip(":."), word.rpartition(":")[0]):
            try:
                return ipaddress.ip_address(candidate)
            except ValueError:
                continue
    return None


def _about_address(problem: OrderError) -> str:
    """What is noteworthy about the address that was tried."""
    address = _address(problem)
    if address is None:
        return ""
    if any(address in net for net in _HOME):
        return (
            f" It tried {address}, which is an address inside a home network: the DNS has to give your public "
            "address, the one that your router has on the internet."
        )
    if address in _SHARED:
        return (
            f" It tried {address}, an address that your provider shares among many customers, so no port can be "
            "forwarded to you. Ask the provider for an address of your own."
        )
    if address.version == 6 and not address.is_loopback:
        return (
            f" It tried the IPv6 address {address}, which it always prefers: if this machine cannot be reached over "
            f"IPv6 from outside, take the AAAA record of {_names(problem)} out of the DNS."
        )
    return f" It tried {address}: check that this is your public address."


def _connection(problem: OrderError, authority: str) -> str:
    if "resolv" in problem.detail or "no such host" in problem.detail:  # some authorities count that as no connection
        return _dns(problem, authority)
    return (
        f"{authority} could not reach {_names(problem)} at port 80, so it cannot see that the name is yours."
        f"{_about_address(problem)} Forward port 80 of your router to this machine, let it through any firewall, "
        "and leave it open: renewals need it too."
    )


def _dns(problem: OrderError, authority: str) -> str:
    lower = problem.detail.lower()
    names = _names(problem)
    if "nxdomain" in lower or "no valid a records" in lower or "no such host" in lower:
        return (
            f"The DNS knows no address for {names}, so {authority} could not find this server. Make an A record with "
            "your public address where you manage the domain; it may take up to an hour to be seen everywhere."
        )
    if "dnssec" in lower or "bogus" in lower or problem.kind == "dnssec":
        return (
            f"The DNS answers for {names} are wrongly signed (DNSSEC), so {authority} does not believe them. Mend or "
            "switch off DNSSEC where you manage the domain."
        )
    return (
        f"The name servers of {names} gave {authority} no usable answer. Often this passes; if it does not, check the "
        "domain where you manage it: its name servers, and whether it is paid for."
    )


def _caa(problem: OrderError, authority: str) -> str:
    return (
        f"A CAA record in the DNS of {_names(problem)} says which authorities may issue certificates, and {authority} "
        "is not among them. Add it to that record where you manage the domain, or remove the record."
    )


def _unauthorized(problem: OrderError, authority: str) -> str:
    if not problem.names:
        return (
            f"{authority} does not accept Hearth's account: {_quoted(problem)} If you use another authority, check "
            "its directory address."
        )
    return (
        f"{authority} looked at {_names(problem)}, but another server or a router's own page answered there instead "
        f"of Hearth.{_about_address(problem)} Check that the name leads to this machine and that port 80 is "
        "forwarded to Hearth, not to something else."
    )


def _rate_limited(problem: OrderError, authority: str) -> str:
    wait = problem.retry_after
    when = f"in {span(wait)}" if wait else "later"
    return (
        f"{authority} has had too many orders for this name or from this address, and will take the next one {when}. "
        "Nothing needs to be done: Hearth tries again then."
    )


def _rejected(problem: OrderError, authority: str) -> str:
    return (
        f"{authority} issues no certificates for {_names(problem)}: it has to be a name under a public domain that is "
        f"yours. {_quoted(problem)} Choose another name, or run Hearth with own certificate files."
    )


def _external_account(problem: OrderError, authority: str) -> str:
    return (
        f"{authority} takes orders only from accounts made with it beforehand (external account binding), which "
        "Hearth does not support. Use another authority, such as Let's Encrypt."
    )


def _user_action(problem: OrderError, authority: str) -> str:
    return f"{authority} wants its account's owner to agree to something before it goes on: {_quoted(problem)}"


def _server_internal(problem: OrderError, authority: str) -> str:
    return f"{authority} has trouble of its own at the moment. Nothing needs to be done: Hearth tries again."


def _unreachable(problem: OrderError, authority: str) -> str:
    return (
        f"{authority} cannot be reached from this machine, so no certificate can be ordered. Check that the machine "
        "is connected to the internet and that no firewall keeps it from making HTTPS connections."
    )


def _unresolved(problem: OrderError, authority: str) -> str:
    return (
        f"{authority} cannot be reached: this machine cannot look up its name in the DNS. Check that the machine is "
        "connected to the internet and which DNS server it uses (in a container: that of the container)."
    )


def _timeout(problem: OrderError, authority: str) -> str:
    return f"{authority} did not answer in time. If this happens again, check this machine's internet connection."


def _untrusted(problem: OrderError, authority: str) -> str:
    lower = problem.detail.lower()
    if "expired" in lower or "not yet valid" in lower:
        return (
            f"{authority} showed a certificate whose dates do not fit this machine's clock. Check the clock: a wrong "
            "one makes every secure connection fail."
        )
    return (
        f"This machine does not trust the one that answers as {authority}. If it is an authority of your own, give "
        "its root certificate (tls.ca_file); otherwise something on the way is intercepting connections."
    )


def _not_acme(problem: OrderError, authority: str) -> str:
    return (
        f"What answers as {authority} does not speak ACME as Hearth knows it ({problem.detail}). Check that the "
        "directory address is right (tls.directory)."
    )


def _ca_file(problem: OrderError, authority: str) -> str:
    return (
        f"The file with the extra root certificate cannot be used ({problem.detail}). It has to be a PEM file that "
        "the user Hearth runs as may read (tls.ca_file)."
    )


def _no_http(problem: OrderError, authority: str) -> str:
    return (
        f"{authority} does not offer to check {_names(problem)} over port 80, the one way that Hearth knows. "
        "Certificates for whole domains (*.example.org) cannot be had this way: name each host."
    )


def _deadline(problem: OrderError, authority: str) -> str:
    return f"{authority} has not decided within some minutes. Nothing needs to be done: Hearth tries again."


def _clock(problem: OrderError, authority: str) -> str:
    return (
        f"{authority} issued a certificate, and it is in use, but by this machine's clock it is old already. Check the "
        "clock: when it is right, Hearth can tell when to renew."
    )


def _stopped(problem: OrderError, authority: str) -> str:
    return "The order was ended because Hearth is stopping."


def _crashed(problem: OrderError, authority: str) -> str:
    return f"Hearth made a mistake while ordering at {authority} ({problem.detail}). The log has more."


def _refused(problem: OrderError, authority: str) -> str:
    return f"{authority} refused the order: {_quoted(problem)}"


def _quoted(problem: OrderError) -> str:
    return f'it says "{problem.detail.strip()}".' if problem.detail.strip() else f"it says {problem.kind}."


def span(seconds: float) -> str:
    """A length of time in words: ``3 minutes``, ``2 hours``, ``5 days``."""
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = -int(-seconds // size)
            return f"{count} {word}{'s' if count > 1 else ''}"
    return "a minute"


_SENTENCES: dict[str, Callable[[OrderError, str], str]] = {
    "connection": _connection,
    "tls": _connection,
    "dns": _dns,
    "dnssec": _dns,
    "unknownHost": _dns,
    "caa": _caa,
    "unauthorized": _unauthorized,
    "incorrectResponse": _unauthorized,
    "rateLimited": _rate_limited,
    "rejectedIdentifier": _rejected,
    "unsupportedIdentifier": _rejected,
    "externalAccountRequired": _external_account,
    "userActionRequired": _user_action,
    "serverInternal": _server_internal,
    "badNonce": _server_internal,
    "unreachable": _unreachable,
    "unresolved": _unresolved,
    "timeout": _timeout,
    "untrusted": _untrusted,
    "not-acme": _not_acme,
    "ca-file": _ca_file,
    "no-http-01": _no_http,
    "deadline": _deadline,
    "clock": _clock,
    "stopped": _stopped,
    "crashed": _crashed,
}
