"""Which settings go together: asked before anything is changed, for the answers file and for the wizard alike."""

from appliance.owner import fields
from appliance.owner.fields import AnswerError
from appliance.settings import LETS_ENCRYPT, Settings

CERTIFICATE_FILE = "a certificate with its chain (PEM)"
KEY_FILE = "a certificate's private key (PEM)"
ROOT_FILE = "a root certificate (PEM)"
OTHER_MODES = "Take a name in a domain of yours, or another way to be reached (tls.mode files, proxy or lan)."


def checked(settings: Settings) -> Settings:
    """Judge settings as a whole.

    Args:
        settings: what the owner wants; left as it is.

    Returns:
        The same with paths made absolute.

    Raises:
        AnswerError: for the first thing that cannot be, with its key in the answers file.
    """
    good = Settings(**{name: getattr(settings, name) for name in settings.__struct_fields__})
    fields.server_name(good.server_name)
    if good.public_host:
        fields.host(good.public_host, "public_host")
    _check_tls(good)
    _check_federation(good)
    for key, address in (
        ("registration.terms", good.registration_terms),
        ("calls.livekit", good.calls_livekit),
        ("support.page", good.support_page),
    ):
        if address:
            fields.https_url(address, key)
    _check_calls(good)
    _within(good.passwords_memory_kib, 8, 4194304, "passwords.memory_kib", "KiB")
    _within(good.passwords_rounds, 1, 1000, "passwords.rounds", "rounds")
    _within(good.passwords_shortest, 1, 128, "passwords.shortest", "characters")
    if good.passwords_memory_kib * good.passwords_rounds > 16 * 1024 * 1024:
        raise AnswerError("passwords.rounds", "Memory and rounds together would make each login take many seconds.")
    return good


def _check_tls(settings: Settings) -> None:
    mode = settings.tls_mode
    for name in settings.tls_names:
        fields.certificate_name(name, "tls.names")
    for network in settings.tls_trusted_proxies:
        fields.network(network, "tls.trusted_proxies")
    fields.https_url(settings.tls_directory, "tls.directory")
    settings.tls_ca_file = _file(settings.tls_ca_file, "tls.ca_file", ROOT_FILE)
    if mode in ("acme", "lan"):
        for key, value in (("tls.certificate", settings.tls_certificate), ("tls.key", settings.tls_key)):
            if value:
                raise AnswerError(key, f"Files of your own go with the modes files and proxy, not with {mode}.")
    if mode == "files" and not settings.tls_certificate:
        raise AnswerError("tls.certificate", f"The mode files needs the path of {CERTIFICATE_FILE}.")
    if mode == "files" and not settings.tls_key:
        raise AnswerError("tls.key", f"The mode files needs the path of {KEY_FILE}.")
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        missing, what = ("tls.key", KEY_FILE) if settings.tls_certificate else ("tls.certificate", CERTIFICATE_FILE)
        raise AnswerError(missing, f"A certificate and its key go together: this takes the path of {what}.")
    settings.tls_certificate = _file(settings.tls_certificate, "tls.certificate", CERTIFICATE_FILE)
    settings.tls_key = _file(settings.tls_key, "tls.key", KEY_FILE)
    if mode == "acme":
        _check_acme(settings)


def _check_acme(settings: Settings) -> None:
    """Names that the authority could not know are refused here, not by it: its refusals count against us."""
    key = "tls.names" if settings.tls_names else "public_host" if settings.public_host else "server_name"
    for name in settings.certificate_names:
        if fields.is_address(name):
            raise AnswerError(key, f"An automatic certificate needs a name; {name} is an address. {OTHER_MODES}")
        if settings.tls_directory == LETS_ENCRYPT and not fields.is_public_name(name):
            raise AnswerError(key, f"Let's Encrypt has no certificate for {name}: it is no public name. {OTHER_MODES}")


def _check_federation(settings: Settings) -> None:
    if settings.tls_mode == "lan" and settings.federation_enabled:
        raise AnswerError(
            "federation.enabled", "In the mode lan other servers cannot reach this one: leave it out or false."
        )
    settings.federation_ca_file = _file(settings.federation_ca_file, "federation.ca_file", ROOT_FILE)
    if settings.federation_resolver:
        fields.resolver(settings.federation_resolver, "federation.resolver")


def _check_calls(settings: Settings) -> None:
    for uri in settings.calls_turn_uris:
        if not uri.startswith(("turn:", "turns:")):
            raise AnswerError(
                "calls.turn_uris", f'This takes addresses such as turn:turn.example.org; "{uri}" is none.'
            )
    if bool(settings.calls_turn_uris) != bool(settings.calls_turn_secret):
        missing = "calls.turn_secret" if settings.calls_turn_uris else "calls.turn_uris"
        raise AnswerError(missing, "A TURN server's addresses and the secret shared with it go together.")


def _file(path: str, key: str, what: str) -> str:
    return fields.readable_file(path, key, what) if path else ""


def _within(value: int, lowest: int, highest: int, key: str, unit: str) -> None:
    if not lowest <= value <= highest:
        raise AnswerError(key, f"This takes {lowest} to {highest} {unit}, not {value}.")
