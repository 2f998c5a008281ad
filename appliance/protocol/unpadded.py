"""Unpadded base64 (appendices, "Unpadded Base64"), the form of every hash, key and signature."""

import binascii

_TO_URLSAFE = str.maketrans("+/", "-_")
_FROM_URLSAFE = str.maketrans("-_", "+/")


def encode(data: bytes) -> str:
    """The standard alphabet, without padding."""
    return binascii.b2a_base64(data, newline=False).decode().rstrip("=")


def encode_urlsafe(data: bytes) -> str:
    """The URL-safe alphabet, without padding."""
    return encode(data).translate(_TO_URLSAFE)


def decode(text: str) -> bytes:
    """The bytes of either alphabet, padded or not.

    Raises:
        ValueError: for anything else.
    """
    text = text.translate(_FROM_URLSAFE).rstrip("=")
    return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
