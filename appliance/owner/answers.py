"""The answers file: the whole wizard, answered beforehand in TOML.

``parse_answers`` either gives everything that the set-up needs, checked as a whole, or refuses with the key's name and
what it takes. It changes nothing.
"""

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from appliance.errors import OwnerError
from appliance.owner import fields, rules
from appliance.owner.fields import AnswerError
from appliance.settings import LimitName, Settings


class Owner(Struct, frozen=True):
    """The owner's account to be made.

    Args:
        username: the localpart.
        password: as typed; kept nowhere.
    """

    username: str
    password: str

    def __repr__(self) -> str:
        """Without the password, which must not come into a log."""
        return f"Owner({self.username!r})"


class Answers(Struct, frozen=True):
    """All answers of the wizard, checked.

    Args:
        settings: what will be kept, with the defaults for what the file left out.
        owner: the first account, or None where registration is open and the file names none.
    """

    settings: Settings
    owner: Owner | None


@dataclass(frozen=True)
class _Kind:
    takes: str
    accepts: Callable[[Any], bool]


_TEXT = _Kind("a text in quotes", lambda value: isinstance(value, str))
_FLAG = _Kind("true or false", lambda value: isinstance(value, bool))
_NUMBER = _Kind("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
_RATES = _Kind(
    "a table of rates, such as login = [10, 0.2]: how many at once, and how many a second",
    lambda value: isinstance(value, dict) and _are_rates(value),
)
_TEXTS = _Kind(
    'a list of texts, such as ["one", "two"]',
    lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
)


def _one_of(*words: str) -> _Kind:
    return _Kind("one of " + ", ".join(f'"{word}"' for word in words), lambda value: value in words)


def _are_rates(table: Mapping[str, Any]) -> bool:
    try:
        rates = msgspec.convert(table, dict[LimitName, tuple[float, float]])
    except msgspec.ValidationError:
        return False
    return all(burst >= 1 and per_second > 0 for burst, per_second in rates.values())


_KEYS: Mapping[str, tuple[_Kind, str]] = {
    "server_name": (_TEXT, "server_name"),
    "public_host": (_TEXT, "public_host"),
    "tls.mode": (_one_of("acme", "files", "proxy", "lan"), "tls_mode"),
    "tls.names": (_TEXTS, "tls_names"),
    "tls.directory": (_TEXT, "tls_directory"),
    "tls.ca_file": (_TEXT, "tls_ca_file"),
    "tls.certificate": (_TEXT, "tls_certificate"),
    "tls.key": (_TEXT, "tls_key"),
    "tls.trusted_proxies": (_TEXTS, "tls_trusted_proxies"),
    "owner.username": (_TEXT, ""),
    "owner.password": (_TEXT, ""),
    "registration.mode": (_one_of("closed", "token", "open"), "registration_mode"),
    "registration.terms": (_TEXT, "registration_terms"),
    "registration.terms_version": (_TEXT, "registration_terms_version"),
    "registration.guests": (_FLAG, "registration_guests"),
    "registration.shared_secret": (_TEXT, "registration_shared_secret"),
    "login.tokens": (_FLAG, "login_tokens"),
    "presence.enabled": (_FLAG, "presence_enabled"),
    "profiles.readers": (_one_of("everybody", "users", "roommates"), "profiles_readers"),
    "user_directory.all": (_FLAG, "user_directory_all"),
    "calls.turn_uris": (_TEXTS, "calls_turn_uris"),
    "calls.turn_secret": (_TEXT, "calls_turn_secret"),
    "calls.livekit": (_TEXT, "calls_livekit"),
    "support.email": (_TEXT, "support_email"),
    "support.page": (_TEXT, "support_page"),
    "policy_server.key": (_TEXT, "policy_server_key"),
    "rooms.default_version": (_one_of("9", "10", "11", "12"), "rooms_default_version"),
    "rooms.redacted_days": (_NUMBER, "rooms_redacted_days"),
    "federation.enabled": (_FLAG, "federation_enabled"),
    "federation.ca_file": (_TEXT, "federation_ca_file"),
    "federation.resolver": (_TEXT, "federation_resolver"),
    "federation.allow_private_addresses": (_FLAG, "federation_allow_private_addresses"),
    "federation.allowed_servers": (_TEXTS, "federation_allowed_servers"),
    "federation.blocked_servers": (_TEXTS, "federation_blocked_servers"),
    "federation.notaries": (_TEXTS, "federation_notaries"),
    "federation.device_names": (_FLAG, "federation_device_names"),
    "limits.enabled": (_FLAG, "limits_enabled"),
    "limits.rates": (_RATES, "limits_rates"),
    "passwords.memory_kib": (_NUMBER, "passwords_memory_kib"),
    "passwords.rounds": (_NUMBER, "passwords_rounds"),
    "passwords.shortest": (_NUMBER, "passwords_shortest"),
}
"""Every key of the file: what it takes, and the setting that it becomes ("" for what is no setting)."""

_PATHS = ("tls.ca_file", "tls.certificate", "tls.key", "federation.ca_file")
_ONLY_IN = {
    "tls.directory": ("acme",),
    "tls.ca_file": ("acme",),
    "tls.names": ("acme", "lan"),
    "tls.trusted_proxies": ("proxy",),
}
"""Keys that would do nothing in another mode: leaving that unsaid would mislead."""


def parse_answers(text: str, folder: Path | None = None) -> Answers:
    """Read an answers file.

    Args:
        text: the file's content (TOML).
        folder: where the file lies, which paths in it start from; by default the current folder.

    Raises:
        OwnerError: for what is not TOML.
        AnswerError: for a key that is unknown, missing, of the wrong type, or impossible together with others.
    """
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise OwnerError(f"The answers file is not valid TOML: {error}.") from error
    given = _flat(tree)
    for key in _PATHS:
        if given.get(key):
            given[key] = str((folder or Path()) / given[key])
    if "server_name" not in given:
        raise AnswerError("server_name", 'This key is needed: your server\'s name, such as "example.org".')
    settings = rules.checked(_settings(given))
    return Answers(settings=settings, owner=_owner(given, settings))


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The file's values by their dotted keys, each of the type that it takes."""
    tables = {key.partition(".")[0] for key in _KEYS if "." in key}
    given: dict[str, Any] = {}
    for name, value in tree.items():
        if name not in tables:
            given[name] = value
            continue
        if not isinstance(value, dict):
            raise AnswerError(name, f"This is a table: write [{name}] and its keys below.")
        given.update({f"{name}.{inner}": each for inner, each in value.items()})
    for key, value in given.items():
        if key not in _KEYS:
            raise AnswerError(key, _unknown(key))
        kind = _KEYS[key][0]
        if not kind.accepts(value):
            raise AnswerError(key, f"This takes {kind.takes}, not {_said(value)}.")
    return given


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key, _KEYS, n=1)
    if near:
        return f"There is no such key; did you mean {near[0]}?"
    table = key.rpartition(".")[0]
    siblings = sorted(known for known in _KEYS if known.rpartition(".")[0] == table)
    return f"There is no such key here. Known are {', '.join(siblings)}."


def _said(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else "such a long text"
    return str(value) if isinstance(value, int | float) else "a list of other things"


def _settings(given: Mapping[str, Any]) -> Settings:
    settings = Settings(**{name: given[key] for key, (_, name) in _KEYS.items() if name and key in given})
    settings.limits_rates = {kind: (burst, each) for kind, (burst, each) in settings.limits_rates.items()}
    if settings.tls_mode == "lan" and "federation.enabled" not in given:
        settings.federation_enabled = False
    for key, modes in _ONLY_IN.items():
        if key in given and settings.tls_mode not in modes:
            raise AnswerError(key, f'This goes with tls.mode {" or ".join(modes)}, not with "{settings.tls_mode}".')
    return settings


def _owner(given: Mapping[str, Any], settings: Settings) -> Owner | None:
    name, password = given.get("owner.username"), given.get("owner.password")
    if name is None and password is None:
        if settings.registration_mode != "open":
            raise AnswerError(
                "owner.username", 'The owner\'s account is needed unless registration.mode is "open", such as "alice".'
            )
        return None
    if name is None or password is None:
        missing = "owner.username" if name is None else "owner.password"
        raise AnswerError(missing, "User name and password of the owner go together: this one is missing.")
    return Owner(fields.username(name, settings.server_name), fields.password(password))
