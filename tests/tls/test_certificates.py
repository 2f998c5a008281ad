"""What is said of certificates, those that Hearth signs, and the owner's own files."""

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from appliance.errors import OwnerError
from appliance.tls import inspection, making
from appliance.tls.certificate import covers, fingerprint
from tests.tls.parts import PEM, Maker, certificate, pem

NOW = datetime.datetime.now(datetime.UTC)
NOW_MS = int(NOW.timestamp() * 1000)
NAMES = ["matrix.example.org"]


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker()


def test_covers() -> None:
    held = certificate(("Matrix.example.org", "*.home.example", "192.0.2.7", "2001:db8::7"), 0, 1)
    assert covers(held, ["matrix.Example.org", "a.home.example", "192.0.2.7", "2001:0db8:0::7"])
    assert not covers(held, ["home.example"])
    assert not covers(held, ["a.b.home.example"])
    assert not covers(held, ["matrix.example.org", "192.0.2.8"])
    assert covers(held, [])


def test_self_signed() -> None:
    made = making.self_signed(["hearth.lan", "192.0.2.7"], NOW_MS)
    parsed = x509.load_pem_x509_certificate(made.chain_pem.encode())
    assert made.names == ("hearth.lan", "192.0.2.7")
    assert inspection.describe(made.chain_pem, made.key_pem, "self-signed") == made
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (made.not_after - NOW_MS) // 86_400_000 <= 825, "what Apple's systems take"
    assert fingerprint(made) == parsed.fingerprint(hashes.SHA256()).hex(":").upper()


def test_self_signed_is_taken_by_tls(tmp_path: Path) -> None:
    made = making.self_signed(["hearth.lan"], NOW_MS)
    (tmp_path / "c.pem").write_text(made.chain_pem)
    (tmp_path / "k.pem").write_text(made.key_pem)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=tmp_path / "c.pem")
    server.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="hearth.lan"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    done = 0
    for _ in range(6):
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
            done += 1
    assert done == 2


def test_signing_request_has_names_and_addresses() -> None:
    request = x509.load_pem_x509_csr(making.signing_request(making.new_key(), ["a.example", "192.0.2.7"]))
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
    assert list(request.subject) == []


class Files:
    """A certificate file and a key file."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "fullchain.pem", folder / "privkey.pem"

    def write(self, certificate: bytes, key: bytes) -> None:
        self.certificate.write_bytes(certificate)
        self.key.write_bytes(key)

    def refusal(self) -> str:
        with pytest.raises(OwnerError) as caught:
            inspection.check_files(self.certificate, self.key, NAMES, NOW_MS)
        message = caught.value.message
        assert message.endswith((".", "`."))
        return message


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_good_files(files: Files, maker: Maker) -> None:
    leaf, key = maker.leaf(("matrix.example.org", "example.org", "192.0.2.7"))
    files.write(b"some words of the authority\n" + pem(leaf, maker.intermediate, maker.root), pem(key))
    read = inspection.check_files(files.certificate, files.key, NAMES, NOW_MS)
    assert read.names == ("matrix.example.org", "example.org", "192.0.2.7")
    assert read.source == "files"
    assert read.chain_pem.encode() == pem(leaf, maker.intermediate, maker.root)
    assert read.not_after == leaf.not_valid_after_utc.timestamp() * 1000
    assert not inspection.lacks_intermediate(read)


def test_an_old_kind_of_key_file_is_made_a_new_one(files: Files, maker: Maker) -> None:
    leaf, key = maker.leaf()
    old = key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    files.write(pem(leaf), old)
    assert inspection.check_files(files.certificate, files.key, NAMES, NOW_MS).key_pem.encode() == pem(key)


def test_a_lone_certificate_that_needs_an_intermediate(files: Files, maker: Maker) -> None:
    leaf, key = maker.leaf(issuer_url="http://ca.example/intermediate.crt")
    files.write(pem(leaf), pem(key))
    assert inspection.lacks_intermediate(inspection.check_files(files.certificate, files.key, NAMES, NOW_MS))


def test_files_that_are_not_there(files: Files) -> None:
    assert "cannot read the certificate file" in files.refusal()
    files.certificate.mkdir()
    assert "Is a directory" in files.refusal()


def test_files_that_hold_something_else(files: Files, maker: Maker) -> None:
    leaf, key = maker.leaf()
    files.write(pem(key), pem(key))
    assert "no certificate in" in files.refusal()
    files.write(pem(leaf), pem(leaf))
    assert "no private key in" in files.refusal()
    files.write(pem(leaf)[:200] + b"\n-----END CERTIFICATE-----\n", pem(key))
    assert "damaged" in files.refusal()
    files.write(pem(leaf), pem(key)[:80] + b"\n-----END PRIVATE KEY-----\n")
    assert "damaged" in files.refusal()


def test_a_key_with_a_password(files: Files, maker: Maker) -> None:
    leaf, key = maker.leaf()
    locked = serialization.BestAvailableEncryption(b"secret")
    files.write(pem(leaf), key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, locked))
    assert "locked with a password" in files.refusal()


def test_a_key_of_another_certificate(files: Files, maker: Maker) -> None:
    files.write(pem(maker.leaf()[0]), pem(maker.leaf()[1]))
    assert "does not belong" in files.refusal()


def test_a_chain_in_disorder(files: Files, maker: Maker) -> None:
    leaf, key = maker.leaf()
    files.write(pem(maker.intermediate, leaf), pem(key))
    assert "wrong order" in files.refusal()
    files.write(pem(leaf, maker.root, maker.intermediate), pem(key))
    assert "do not follow from each other" in files.refusal()


def test_dates(files: Files, maker: Maker) -> None:
    old, key = maker.leaf(begin=NOW - datetime.timedelta(days=70))
    files.write(pem(old), pem(key))
    assert "ran out on" in files.refusal()
    young, key = maker.leaf(begin=NOW + datetime.timedelta(days=1))
    files.write(pem(young), pem(key))
    assert "valid only from" in files.refusal()


def test_names(files: Files, maker: Maker) -> None:
    leaf, key = maker.leaf(("www.example.org",))
    files.write(pem(leaf), pem(key))
    assert "good for www.example.org, but not for matrix.example.org" in files.refusal()
    leaf, key = maker.leaf(())
    files.write(pem(leaf), pem(key))
    assert "good for no name at all" in files.refusal()


def test_what_does_not_belong_together_is_not_kept(maker: Maker) -> None:
    with pytest.raises(ValueError, match="not that of the certificate"):
        inspection.describe(pem(maker.leaf()[0]).decode(), pem(maker.leaf()[1]).decode(), "acme")


def test_renewal_identifier_of_the_specification() -> None:
    # The worked example of RFC 9773, section 4.1: key identifier and serial number of a certificate.
    key = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    maker = Maker()
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(maker.key.public_key())
        .serial_number(0x8765432100 + 0x21)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier(key, None, None), critical=False)
        .sign(maker.key, hashes.SHA256())
    )
    assert inspection.renewal_identifier(pem(signed).decode()) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyEh"
    assert inspection.renewal_identifier(pem(maker.leaf()[0]).decode()) is None
