"""What one answer of the owner's may look like: one function a kind of answer, with the sentence that refuses it.

Shared by the answers file and the wizard. A function takes what was typed and gives it back as it is kept, or raises
``AnswerError``. Only the look is judged here; what goes together is judged in ``rules.py``.
"""

import ipaddress
import re
from pathlib import Path

from appliance.errors import OwnerError
from appliance.protocol import identifiers
from appliance.settings import host_of

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 512
"""Bytes; what accounts take. Beyond it hashing would be a way to keep the server busy."""
LONGEST_NAME = 200
"""Bytes of a server's name: leaves room for the user's own part in the 255 bytes of a user id."""

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")


class AnswerError(OwnerError):
    """An answer that cannot be taken.

    Args:
        key: the answer's key in the answers file, such as ``tls.certificate``; the wizard finds its field by it.
        sentence: what is wrong with it and what it takes.
    """

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(f"{key}: {sentence}")
        self.key = key
        self.sentence = sentence


def server_name(text: str, key: str = "server_name") -> str:
    """A server's name: a host name in small letters or an address, with a port if need be.

    Stricter than the specification's grammar where that allows what no host can have, since the name is for ever.
    """
    if not text:
        raise AnswerError(key, "A name is needed, such as example.org: a domain of your own is best.")
    if not text.isascii():
        raise AnswerError(key, _not_ascii(text))
    if text != text.lower():
        raise AnswerError(key, f"Names are written in small letters: {text.lower()}.")
    if len(text) > LONGEST_NAME:
        raise AnswerError(key, f"A name has at most {LONGEST_NAME} characters; this one has {len(text)}.")
    if not identifiers.is_server_name(text) or not _is_authority(text):
        raise AnswerError(key, f'This takes a name such as example.org, with a port if need be; "{text}" is none.')
    return text


def host(text: str, key: str) -> str:
    """A host that others reach, with a port where it is not 443."""
    if not _is_authority(text):
        raise AnswerError(
            key,
            "This takes a host name in small letters, with a port if it is not 443, such as matrix.example.org; "
            f'"{text}" is none.',
        )
    return text


def certificate_name(text: str, key: str) -> str:
    """A name or an address as it stands in a certificate: no port, no wildcard."""
    address = _address(text)
    if address is None and not _is_name(text):
        raise AnswerError(key, f'This takes host names without a port, such as matrix.example.org; "{text}" is none.')
    return text


def network(text: str, key: str) -> str:
    """A network in CIDR form, or a single address."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise AnswerError(
            key, f'This takes addresses or networks such as 127.0.0.1/32 or 10.0.0.0/8; "{text}" is none.'
        ) from error
    return text


def resolver(text: str, key: str) -> str:
    """The address of a DNS server, with its port."""
    name, _, port = text.rpartition(":")
    if _address(name.strip("[]")) is None or not _is_port(port):
        raise AnswerError(key, f'This takes an address and a port, such as 127.0.0.1:53; "{text}" is none.')
    return text


def https_url(text: str, key: str) -> str:
    """An https address, such as the directory of a certificate authority."""
    scheme, _, rest = text.partition("://")
    if scheme != "https" or not _is_authority(rest.partition("/")[0].lower()):
        raise AnswerError(key, f'This takes an address that begins with https://; "{text}" does not.')
    return text


def readable_file(text: str, key: str, what: str) -> str:
    """The path of a file that exists and that Hearth may read, made absolute.

    Args:
        text: the path as it was given.
        key: the answer's key.
        what: what the file holds, such as "a certificate (PEM)".
    """
    path = Path(text).absolute()
    try:
        with path.open("rb"):
            return str(path)
    except FileNotFoundError as error:
        sentence = f"This takes the path of {what}, and there is no file {path}."
        raise AnswerError(key, sentence) from error
    except IsADirectoryError as error:
        raise AnswerError(key, f"This takes the path of {what}, and {path} is a folder.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise AnswerError(key, f"Hearth cannot read {path}: {reason}. It takes the path of {what}.") from error


def username(text: str, server: str, key: str = "owner.username") -> str:
    """The owner's user name: the part between the @ and the colon.

    Args:
        text: the user name.
        server: the server's name, which shares the 255 bytes of a user id with it.
        key: the answer's key.
    """
    if not text:
        raise AnswerError(key, "A user name is needed, such as alice.")
    if not identifiers.is_new_localpart(text):
        raise AnswerError(
            key, f'A user name takes small letters, digits and the signs . _ = - / +, such as alice; "{text}" is none.'
        )
    if len(f"@{text}:{server}".encode()) > identifiers.MAX_ID_BYTES:
        raise AnswerError(key, "This user name is too long: with the server's name it may have 255 characters in all.")
    return text


def password(text: str, key: str = "owner.password") -> str:
    """The owner's password; nothing is asked of it but some length."""
    if len(text) < SHORTEST_PASSWORD:
        raise AnswerError(key, f"This password is too short: it takes at least {SHORTEST_PASSWORD} characters.")
    if len(text.encode()) > LONGEST_PASSWORD:
        raise AnswerError(key, f"A password may have at most {LONGEST_PASSWORD} bytes, which is many words.")
    return text


def is_public_name(name: str) -> bool:
    """Whether a public certificate authority could know this name: a DNS name of a domain that can be bought."""
    last = name.rpartition(".")[2]
    private = {"local", "localhost", "lan", "internal", "intranet", "home", "corp", "test", "invalid", "example"}
    return _address(name) is None and "." in name and last not in private and not name.endswith("home.arpa")


def is_address(name: str) -> bool:
    """Whether this is an IP address and not a name."""
    return _address(name) is not None


def _not_ascii(text: str) -> str:
    try:
        spelled = text.lower().encode("idna").decode()
    except UnicodeError:
        return "A name takes the letters a to z, digits, hyphens and dots."
    return f"Names with letters beyond a to z are written in their other form, which for this one is {spelled}."


def _is_authority(text: str) -> bool:
    """``host``, ``host:port``, ``[v6]`` or ``[v6]:port``, in small letters."""
    name = host_of(text)
    if text.startswith("["):
        closing = text.find("]")
        try:
            ipaddress.IPv6Address(name)
        except ValueError:
            return False
        port = text[closing + 1 :]
        return port == "" or (port.startswith(":") and _is_port(port[1:]))
    _, colon, port = text.partition(":")
    return _is_name(name) and (not colon or _is_port(port))


def _is_port(text: str) -> bool:
    return _PORT.match(text) is not None and int(text) <= 65535


def _is_name(text: str) -> bool:
    """A host name (RFC 1123) in small letters, or an IPv4 address; nothing that merely looks like an address."""
    labels = text.split(".")
    if len(text) > 253 or not all(_LABEL.match(label) for label in labels):
        return False
    return not labels[-1].isdigit() or isinstance(_address(text), ipaddress.IPv4Address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
