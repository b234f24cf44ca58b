"""Tracking codes: what a citizen follows a report by. Read aloud, copied by hand, and guessed by nobody.

    7K3MQ-9QX2F-C     ten signs of Crockford's base 32 (50 random bits) and one that checks them

Small letters, blanks and dashes do not matter; O is read as 0, I and L as 1.
"""

import hashlib
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_BYTES: Final = 7
_SIGNS: Final = 10
_READ: Final = str.maketrans("OIL", "011", " -.\u2013\u2014")


def make_code(random: bytes) -> str:
    """Return the code of `RANDOM_BYTES` random bytes, of which 50 bits are used."""
    number = int.from_bytes(random[:RANDOM_BYTES], "big")
    signs = "".join(ALPHABET[number >> 5 * n & 31] for n in range(_SIGNS))
    return f"{signs[:5]}-{signs[5:]}-{_check(signs)}"


def read_code(text: str) -> str | None:
    """Return the code that somebody typed in its one spelling, None where it cannot be one."""
    signs = text.upper().translate(_READ)
    if len(signs) != _SIGNS + 1 or not set(signs) <= set(ALPHABET) or _check(signs[:-1]) != signs[-1]:
        return None
    return f"{signs[:5]}-{signs[5:10]}-{signs[10]}"


def hash_code(code: str) -> bytes:
    """Return what is stored of a code in its one spelling."""
    return hashlib.sha256(code.encode()).digest()


def _check(signs: str) -> str:
    # Odd weights: one wrong sign always shows, two neighbours exchanged unless they are 16 apart.
    total = sum((2 * place + 1) * ALPHABET.index(sign) for place, sign in enumerate(signs))
    return ALPHABET[total % len(ALPHABET)]
