"""Which earlier reports tell of the same thing: Vietnamese texts compared, and how near they are.

People write with and without diacritics, shorten words, and call one hole by many names. Texts are folded
first (`fold`); what counts then is which words they share and which runs of three letters, so that a word
more or a letter wrong costs little. A text alone never makes two reports one: place or address must agree.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec

from ioc.geo.zones import metres_between
from ioc.incidents.citizen_policy import DuplicatePolicy
from ioc.incidents.policy_shapes import length_of

MAX_COMPARED_CHARS: Final = 500
"""Of each text; what matters is said at the beginning."""
KEPT_TEXTS: Final = 2_000
"""Texts whose words are kept at hand: the same earlier reports are compared again and again."""

_SIGNS: Final = re.compile(r"[^a-z0-9]+")
_ABBREVIATIONS: Final = {
    "p": "phuong", "q": "quan", "x": "xa", "h": "huyen", "tp": "thanh pho", "tx": "thi xa", "kp": "khu pho",
    "d": "duong", "dg": "duong", "duog": "duong", "k": "khong", "ko": "khong", "kg": "khong", "hok": "khong",
    "dc": "duoc", "ntn": "nhu the nao", "nc": "nuoc", "ql": "quoc lo", "dt": "duong tinh", "so": "so",
}  # fmt: skip
_EMPTY_WORDS: Final = frozenset(
    [
        "bi",
        "boi",
        "cac",
        "cai",
        "cho",
        "co",
        "cua",
        "da",
        "dang",
        "de",
        "den",
        "di",
        "do",
        "dung",
        "gap",
        "giup",
        "hay",
        "khong",
        "la",
        "lai",
        "lam",
        "len",
        "luon",
        "ma",
        "minh",
        "mot",
        "nay",
        "ne",
        "nen",
        "nhung",
        "nhieu",
        "o",
        "qua",
        "ra",
        "rat",
        "roi",
        "se",
        "su",
        "tai",
        "thi",
        "toi",
        "trong",
        "truoc",
        "tu",
        "va",
        "vao",
        "van",
        "ve",
        "vi",
        "voi",
        "xin",
    ]
)
"""Words that say nothing of what has happened; `khong` does in some texts, but not what they are about."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A report as far as it matters here; positions in degrees."""

    id: str
    service: str
    text: str
    time_us: int
    address: str | None = None
    lon: float | None = None
    lat: float | None = None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier report that may tell of the same thing."""

    id: str
    likeness: float
    """Of the texts, 0 to 1."""
    metres: float | None
    """None where one has no position."""
    verdict: Literal["offer", "merge"]


def fold(text: str) -> str:
    """Return `text` in small letters without diacritics, signs and abbreviations, words one blank apart."""
    plain = text[:MAX_COMPARED_CHARS].lower().replace("đ", "d")
    decomposed = unicodedata.normalize("NFD", plain)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(_ABBREVIATIONS.get(word, word) for word in _SIGNS.split(bare) if word)


def likeness(one: str, other: str) -> float:
    """Return how alike two texts are, 0 to 1: the mean of shared words and of shared runs of letters."""
    first, second = _traits(one), _traits(other)
    if first.folded == second.folded:
        return 1.0 if first.folded else 0.0
    return (_shared(first.words, second.words) + _shared(first.runs, second.runs)) / 2


def candidates(new: Told, earlier: Iterable[Told], policy: DuplicatePolicy) -> list[Candidate]:
    """Return what to offer as the same thing, the likeliest first, at most `policy.offered`.

    Compared are reports of one service, at most `policy.within` apart, near each other or with one address.
    """
    within_us = length_of(policy.within).us
    found = []
    for told in earlier:
        if told.service != new.service or told.id == new.id or abs(told.time_us - new.time_us) > within_us:
            continue
        metres = _metres(new, told)
        same_address = _same_address(new, told)
        if not same_address and (metres is None or metres > policy.metres):
            continue
        alike = likeness(new.text, told.text)
        at_hand = same_address or (metres is not None and metres <= policy.merge_metres)
        if at_hand and alike >= policy.merge_from:
            found.append(Candidate(id=told.id, likeness=alike, metres=metres, verdict="merge"))
        elif alike >= policy.offer_from or at_hand:
            found.append(Candidate(id=told.id, likeness=alike, metres=metres, verdict="offer"))
    found.sort(key=lambda item: (item.verdict != "merge", -item.likeness, item.metres or 0.0, item.id))
    return found[: policy.offered]


def _metres(one: Told, other: Told) -> float | None:
    if one.lon is None or one.lat is None or other.lon is None or other.lat is None:
        return None
    return metres_between(one.lon, one.lat, other.lon, other.lat)


def _same_address(one: Told, other: Told) -> bool:
    first, second = fold(one.address or ""), fold(other.address or "")
    # A street alone is no place.
    return first == second and any(char.isdigit() for char in first)


class _Traits(NamedTuple):
    folded: str
    words: frozenset[str]
    runs: frozenset[str]


@lru_cache(maxsize=KEPT_TEXTS)
def _traits(text: str) -> _Traits:
    folded = fold(text)
    return _Traits(folded, _words(folded), _runs(folded))


def _words(folded: str) -> frozenset[str]:
    words = frozenset(folded.split())
    return words - _EMPTY_WORDS or words


def _runs(folded: str) -> frozenset[str]:
    padded = f"  {folded} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


def _shared(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Dice coefficient: twice what is shared, of all there is."""
    total = len(one) + len(other)
    return 2 * len(one & other) / total if total else 0.0


def by_root(found: Sequence[Candidate], roots: dict[str, str]) -> list[Candidate]:
    """Leave of each group of reports the likeliest, named by the report that leads it."""
    best: dict[str, Candidate] = {}
    for candidate in found:
        root = roots[candidate.id]
        best.setdefault(root, msgspec.structs.replace(candidate, id=root))
    return list(best.values())
