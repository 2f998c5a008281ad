"""Unpadded base64 (appendices, "Unpadded Base64"), the form of every hash, key and signature."""

import binascii

# Tables of bytes: those of text are looked up letter by letter.
_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")


def encode(data: bytes) -> str:
    """The standard alphabet, without padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").decode()


def encode_urlsafe(data: bytes) -> str:
    """The URL-safe alphabet, without padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URLSAFE).decode()


def decode(text: str) -> bytes:
    """The bytes of either alphabet, padded or not.

    Raises:
        ValueError: for anything else.
    """
    data = text.encode().translate(_FROM_URLSAFE).rstrip(b"=")
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
