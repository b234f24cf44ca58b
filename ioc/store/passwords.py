"""Which passwords are good enough: long, and none that guessers try first.

There is no rule about kinds of characters and no expiry: both make people choose worse passwords (NIST SP
800-63B). What counts is the length and that the password is not one of `common_passwords.txt`, bare or
dressed up with digits, signs, capitals, accents or look-alikes, nor made of the person's or the service's
name.
"""

import re
import unicodedata
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Final

MIN_PASSWORD: Final = 12
MAX_PASSWORD: Final = 256
MIN_OWN_CHARS: Final = 5
"""What must remain besides a common word, a name and their padding."""
_LOOK_ALIKE: Final = str.maketrans("0134578@$!đ", "oleastbasid")
_SIGNS: Final = re.compile(r"[^a-z]+")
_ENDS: Final = re.compile(r"^[^a-zđ]+|[^a-zđ]+$")


class UnfitPasswordError(ValueError):
    """The message says what is expected."""


def check_password(password: str, *names: str) -> str:
    """Return `password` if it may be used by somebody known by `names`.

    Raises:
        UnfitPasswordError: it is too short or long, common, repetitive, a number or a name.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise UnfitPasswordError(f"expected {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    if len(set(password)) < MIN_OWN_CHARS:
        raise UnfitPasswordError(f"expected at least {MIN_OWN_CHARS} different characters")
    if _is_run(password):
        raise UnfitPasswordError("expected no run of neighbouring characters")
    rest = _folded(password)
    known = sorted({*_common(), *(_folded(name) for name in names)}, key=len, reverse=True)
    for word in known:
        if len(word) > 2:
            rest = rest.replace(word, " ")
    if len(rest.replace(" ", "")) < MIN_OWN_CHARS:
        raise UnfitPasswordError(
            "a number, a common password or a name, whatever is put around it: choose several words"
        )
    return password


def _folded(text: str) -> str:
    """Return the bare letters of `text`: no capitals, accents, look-alikes, signs, nor digits around it."""
    plain = unicodedata.normalize("NFD", text.lower())
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return _SIGNS.sub("", _ENDS.sub("", plain).translate(_LOOK_ALIKE))


def _is_run(password: str) -> bool:
    steps = {ord(after) - ord(before) for before, after in pairwise(password)}
    return len(steps) == 1


@cache
def _common() -> frozenset[str]:
    lines = files("ioc.store").joinpath("common_passwords.txt").read_text("utf-8").splitlines()
    return frozenset(_folded(line) for line in lines if line and not line.startswith("#"))
