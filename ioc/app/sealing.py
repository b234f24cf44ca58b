"""Sealed personal data: what is readable only with a key that is not in the database."""

import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12


class Seal:
    """Seals short texts with AES-256-GCM, and hashes them to recognise equal ones."""

    def __init__(self, key: bytes) -> None:
        """Derive both keys from `key`, 32 random bytes (`ioc.app.privacy.read_key`)."""
        self._cipher = AESGCM(hmac.digest(key, b"seal", hashlib.sha256))
        self._hash_key = hmac.digest(key, b"recognise", hashlib.sha256)

    def close(self, text: str) -> bytes:
        """Return `text` sealed; twice the same text gives different bytes."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), None)

    def open(self, sealed: bytes) -> str | None:
        """Return what was sealed, None where it was sealed with another key."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()
        except InvalidTag:
            return None

    def recognise(self, text: str) -> bytes:
        """Return the keyed hash of `text`."""
        return hmac.digest(self._hash_key, text.encode(), hashlib.sha256)
