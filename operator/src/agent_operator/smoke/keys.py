"""The key that a gate's Restate server signs its requests with: made in its pod, gone with it."""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

PREFIX: Final = "publickeyv1_"
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def make(file: Path) -> str:
    """Write a new private key as PEM, for its owner's eyes; answers the public one."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.touch(mode=0o600)
    file.write_bytes(pem)
    return PREFIX + base58(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def base58(raw: bytes) -> str:
    """Bytes in the alphabet that Restate writes keys in: no 0, O, I and l."""
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, len(_BASE58))
        text = _BASE58[digit] + text
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return _BASE58[0] * zeros + text
