"""What Complement's containers run: a Hearth as that suite wants one, set up unattended.

It finds its name in ``SERVER_NAME`` and an authority for certificates in /complement/ca, and serves plain HTTP for
clients on port 8008 and TLS for servers on port 8448. Started again on the same files (the suite copies and restarts
containers) it goes on with what it has. It stands alone, so that the image can hold it without the other tests.
"""

import datetime
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.cli import main as hearth

AUTHORITY = Path("/complement/ca")
ANSWERS = """
server_name = "{name}"
[tls]
mode = "proxy"
certificate = "tls.crt"
key = "tls.key"
[registration]
mode = "open"
shared_secret = "complement"
[rooms]
default_version = "11"
[federation]
ca_file = "{authority}"
allow_private_addresses = true
device_names = true
[limits]
enabled = false
[passwords]
memory_kib = 64
rounds = 1
shortest = 1
"""


def certify(name: str, folder: Path) -> None:
    """Make a certificate for a server, signed by the authority that the suite gave.

    Args:
        name: the server's name.
        folder: where ``tls.crt`` and ``tls.key`` go.
    """
    authority = x509.load_pem_x509_certificate((AUTHORITY / "ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((AUTHORITY / "ca.key").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def main() -> None:
    """Set the server up, unless that was done, and serve."""
    name = os.environ["SERVER_NAME"]
    data = Path(os.environ.get("HEARTH_DATA", "/data"))
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "hearth.db").exists():
        certify(name, data)
        (data / "answers.toml").write_text(ANSWERS.format(name=name, authority=AUTHORITY / "ca.crt"))
        hearth(["setup", "--data", str(data), "--answers", str(data / "answers.toml")], standalone_mode=False)
        sys.stdout.flush()
    addresses = ["--http", ":8008", "--https", "off", "--federation", ":8448"]
    hearth(["serve", "--data", str(data), *addresses])


if __name__ == "__main__":
    main()
