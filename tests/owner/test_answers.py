"""The answers file: what it takes, and the sentence for everything that it does not take."""

from pathlib import Path

import pytest

from appliance.errors import OwnerError
from appliance.owner.answers import Owner, parse_answers
from appliance.owner.fields import AnswerError
from appliance.settings import LETS_ENCRYPT, Settings

NAME = 'server_name = "example.org"\n'
OWNER = '[owner]\nusername = "alice"\npassword = "correct horse"\n'
FULL = """
server_name = "example.org"
public_host = "matrix.example.org"
[tls]
mode = "acme"
names = ["matrix.example.org", "example.org"]
directory = "https://127.0.0.1:14000/dir"
ca_file = "root.pem"
[owner]
username = "alice"
password = "correct horse"
[registration]
mode = "token"
terms = "https://example.org/terms"
terms_version = "2026"
guests = true
shared_secret = "open sesame"
[login]
tokens = false
[presence]
enabled = false
[profiles]
readers = "roommates"
[calls]
turn_uris = ["turn:turn.example.org", "turns:turn.example.org:443?transport=tcp"]
turn_secret = "shared"
livekit = "https://calls.example.org"
[support]
email = "help@example.org"
page = "https://example.org/help"
[policy_server]
key = "6yhHGKhCiXTSEN2ksjV7kX/N6rBQZ3Xb+M7LlC6NS+s"
[federation]
enabled = true
ca_file = "root.pem"
resolver = "127.0.0.1:5300"
device_names = true
allow_private_addresses = true
[rooms]
default_version = "11"
redacted_days = 3
[limits]
enabled = false
[limits.rates]
login = [20, 0.5]
[passwords]
memory_kib = 64
rounds = 1
shortest = 12
"""


def test_everything_that_the_file_may_hold_becomes_settings(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text("root")
    answers = parse_answers(FULL, tmp_path)
    root = str(tmp_path / "root.pem")
    assert answers.settings == Settings(
        server_name="example.org",
        public_host="matrix.example.org",
        tls_mode="acme",
        tls_names=["matrix.example.org", "example.org"],
        tls_directory="https://127.0.0.1:14000/dir",
        tls_ca_file=root,
        registration_mode="token",
        registration_terms="https://example.org/terms",
        registration_terms_version="2026",
        registration_guests=True,
        registration_shared_secret="open sesame",
        login_tokens=False,
        presence_enabled=False,
        profiles_readers="roommates",
        calls_turn_uris=["turn:turn.example.org", "turns:turn.example.org:443?transport=tcp"],
        calls_turn_secret="shared",
        calls_livekit="https://calls.example.org",
        support_email="help@example.org",
        support_page="https://example.org/help",
        policy_server_key="6yhHGKhCiXTSEN2ksjV7kX/N6rBQZ3Xb+M7LlC6NS+s",
        limits_rates={"login": (20, 0.5)},
        federation_enabled=True,
        federation_ca_file=root,
        federation_resolver="127.0.0.1:5300",
        federation_allow_private_addresses=True,
        federation_device_names=True,
        rooms_default_version="11",
        rooms_redacted_days=3,
        limits_enabled=False,
        passwords_memory_kib=64,
        passwords_rounds=1,
        passwords_shortest=12,
    )
    assert answers.owner == Owner("alice", "correct horse")


def test_a_name_and_an_owner_are_enough() -> None:
    answers = parse_answers(NAME + OWNER)
    assert answers.settings == Settings(server_name="example.org")
    assert answers.settings.tls_directory == LETS_ENCRYPT


def test_an_open_server_needs_no_owner() -> None:
    assert parse_answers(NAME + '[registration]\nmode = "open"\n').owner is None


def test_federation_is_off_by_default_in_the_house() -> None:
    answers = parse_answers('server_name = "hearth.lan"\n[tls]\nmode = "lan"\n' + OWNER)
    assert answers.settings.federation_enabled is False


def test_the_password_is_in_no_representation() -> None:
    assert "correct horse" not in repr(parse_answers(NAME + OWNER))


def test_a_file_is_looked_for_beside_the_answers(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("c")
    (tmp_path / "key.pem").write_text("k")
    text = NAME + '[tls]\nmode = "files"\ncertificate = "cert.pem"\nkey = "key.pem"\n' + OWNER
    settings = parse_answers(text, tmp_path).settings
    assert (settings.tls_certificate, settings.tls_key) == (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))


REFUSALS = [
    # what is in the file, the key that is named, words of the sentence
    ("", "server_name", "is needed"),
    (OWNER, "server_name", "is needed"),
    ("server_name = 5\n" + OWNER, "server_name", "a text in quotes, not 5"),
    ("server_name = true\n" + OWNER, "server_name", "a text in quotes, not true"),
    ('server_name = ""\n' + OWNER, "server_name", "A name is needed"),
    ('server_name = "Example.org"\n' + OWNER, "server_name", "small letters: example.org"),
    ('server_name = "münchen.example.org"\n' + OWNER, "server_name", "xn--mnchen-3ya.example.org"),
    ('server_name = "example..org"\n' + OWNER, "server_name", "example.org"),
    ('server_name = "-a.org"\n' + OWNER, "server_name", "is none"),
    ('server_name = "a_b.org"\n' + OWNER, "server_name", "is none"),
    ('server_name = "example.org:0"\n' + OWNER, "server_name", "is none"),
    ('server_name = "example.org:70000"\n' + OWNER, "server_name", "is none"),
    ('server_name = "1.2.3.400"\n' + OWNER, "server_name", "is none"),
    ('server_name = "https://example.org"\n' + OWNER, "server_name", "is none"),
    (f'server_name = "{"a." * 110}org"\n' + OWNER, "server_name", "at most 200 characters"),
    (NAME + 'public_host = "matrix example"\n' + OWNER, "public_host", "is none"),
    (NAME + "nmae = 1\n" + OWNER, "nmae", "no such key"),
    (NAME + 'publik_host = "a.org"\n' + OWNER, "publik_host", "did you mean public_host?"),
    (NAME + '[tls]\nmoed = "acme"\n' + OWNER, "tls.moed", "did you mean tls.mode?"),
    (NAME + "[tls]\nzzz = 1\n" + OWNER, "tls.zzz", "tls.ca_file, tls.certificate, tls.directory"),
    (NAME + "[telemetry]\nsend = true\n" + OWNER, "telemetry", "no such key"),
    (NAME + 'tls = "acme"\n' + OWNER, "tls", "write [tls]"),
    (NAME + '[tls]\nmode = "auto"\n' + OWNER, "tls.mode", 'one of "acme", "files", "proxy", "lan", not "auto"'),
    (NAME + '[tls]\nnames = "example.org"\n' + OWNER, "tls.names", "a list of texts"),
    (NAME + "[tls]\nnames = [1]\n" + OWNER, "tls.names", "a list of texts"),
    (NAME + '[tls]\nnames = ["*.example.org"]\n' + OWNER, "tls.names", "is none"),
    (NAME + '[tls]\nnames = ["example.org:443"]\n' + OWNER, "tls.names", "without a port"),
    (NAME + '[tls]\ndirectory = "http://ca.example.org"\n' + OWNER, "tls.directory", "https://"),
    (NAME + '[tls]\nca_file = "/nowhere/root.pem"\n' + OWNER, "tls.ca_file", "no file /nowhere/root.pem"),
    (NAME + '[tls]\nca_file = "/"\n' + OWNER, "tls.ca_file", "is a folder"),
    (NAME + '[tls]\nmode = "files"\n' + OWNER, "tls.certificate", "needs the path"),
    (NAME + '[tls]\nmode = "files"\ncertificate = "/c"\n' + OWNER, "tls.key", "needs the path"),
    (NAME + '[tls]\nmode = "proxy"\nkey = "/k"\n' + OWNER, "tls.certificate", "go together"),
    (NAME + '[tls]\ncertificate = "/c"\nkey = "/k"\n' + OWNER, "tls.certificate", "files and proxy, not with acme"),
    (NAME + '[tls]\nmode = "proxy"\nnames = ["a.org"]\n' + OWNER, "tls.names", "acme or lan"),
    (NAME + '[tls]\nmode = "lan"\ndirectory = "https://a.org/"\n' + OWNER, "tls.directory", "goes with tls.mode acme"),
    (NAME + '[tls]\ntrusted_proxies = ["10.0.0.1"]\n' + OWNER, "tls.trusted_proxies", "goes with tls.mode proxy"),
    (NAME + '[tls]\nmode = "proxy"\ntrusted_proxies = ["10.0.0.1/8"]\n' + OWNER, "tls.trusted_proxies", "10.0.0.0/8"),
    ('server_name = "192.168.1.5"\n' + OWNER, "server_name", "is an address"),
    ('server_name = "hearth.local"\n' + OWNER, "server_name", "no public name"),
    (NAME + 'public_host = "hearth"\n' + OWNER, "public_host", "no public name"),
    (NAME + '[tls]\nmode = "lan"\n[federation]\nenabled = true\n' + OWNER, "federation.enabled", "mode lan"),
    (NAME + '[federation]\nenabled = "yes"\n' + OWNER, "federation.enabled", 'true or false, not "yes"'),
    (NAME + '[federation]\nresolver = "127.0.0.1"\n' + OWNER, "federation.resolver", "an address and a port"),
    (NAME + '[federation]\nresolver = "dns.example.org:53"\n' + OWNER, "federation.resolver", "an address and a port"),
    (NAME, "owner.username", "needed unless"),
    (NAME + '[owner]\nusername = "alice"\n', "owner.password", "go together"),
    (NAME + '[owner]\npassword = "correct horse"\n', "owner.username", "go together"),
    (NAME + '[owner]\nusername = "Alice"\npassword = "correct horse"\n', "owner.username", "small letters"),
    (NAME + '[owner]\nusername = ""\npassword = "correct horse"\n', "owner.username", "is needed"),
    (NAME + f'[owner]\nusername = "{"a" * 250}"\npassword = "correct horse"\n', "owner.username", "too long"),
    (NAME + '[owner]\nusername = "alice"\npassword = "short"\n', "owner.password", "at least 8 characters"),
    (NAME + f'[owner]\nusername = "alice"\npassword = "{"x" * 600}"\n', "owner.password", "at most 512"),
    (NAME + '[registration]\nmode = "invite"\n' + OWNER, "registration.mode", '"closed", "token", "open"'),
    (NAME + "[passwords]\nmemory_kib = 19.5\n" + OWNER, "passwords.memory_kib", "a whole number, not 19.5"),
    (NAME + "[passwords]\nmemory_kib = 1\n" + OWNER, "passwords.memory_kib", "8 to 4194304"),
    (NAME + "[passwords]\nrounds = true\n" + OWNER, "passwords.rounds", "a whole number, not true"),
    (NAME + "[passwords]\nrounds = 0\n" + OWNER, "passwords.rounds", "1 to 1000"),
    (NAME + "[passwords]\nmemory_kib = 4000000\nrounds = 1000\n" + OWNER, "passwords.rounds", "seconds"),
    (NAME + "[limits.rates]\nsleep = [1, 1]\n" + OWNER, "limits.rates", "a table of rates"),
    (NAME + "[limits.rates]\nlogin = [0, 1]\n" + OWNER, "limits.rates", "a table of rates"),
    (NAME + '[registration]\nterms = "http://example.org"\n' + OWNER, "registration.terms", "https://"),
    (NAME + '[calls]\nturn_uris = ["stun:a.org"]\n' + OWNER, "calls.turn_uris", "is none"),
    (NAME + '[calls]\nturn_uris = ["turn:a.org"]\n' + OWNER, "calls.turn_secret", "go together"),
    (NAME + "[limits]\nenabled = 1\n" + OWNER, "limits.enabled", "true or false, not 1"),
]


@pytest.mark.parametrize(("text", "key", "words"), REFUSALS)
def test_what_cannot_be_is_refused_with_its_key(text: str, key: str, words: str) -> None:
    with pytest.raises(AnswerError) as caught:
        parse_answers(text)
    assert caught.value.key == key
    assert words in caught.value.sentence
    assert caught.value.message.startswith(f"{key}: ")


def test_what_is_not_toml_is_refused() -> None:
    with pytest.raises(OwnerError, match="not valid TOML"):
        parse_answers("server_name: example.org")


@pytest.mark.parametrize(
    "name", ["example.org", "example.org:8448", "10.0.0.5", "[fd00::5]", "[fd00::5]:8448", "localhost:8448", "hearth"]
)
def test_names_without_an_authority_that_must_know_them(name: str) -> None:
    text = f'server_name = "{name}"\n[tls]\nmode = "lan"\n' + OWNER
    assert parse_answers(text).settings.server_name == name


def test_an_authority_of_ones_own_may_know_private_names() -> None:
    text = 'server_name = "hearth.lan"\n[tls]\ndirectory = "https://ca.lan/dir"\n' + OWNER
    assert parse_answers(text).settings.certificate_names == ["hearth.lan"]
