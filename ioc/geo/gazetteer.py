"""Finds the place of an address as people write it: with or without diacritics, abbreviated, misspelt. Pure.

In order: a digital address code, the address itself, the likest address, and at last the ward it names. An
address that stands in several places far apart, and does not say which, is none of them.

    "12 Lê Lợi, P. Phú Cường"  ──fold──►  12 le loi phu cuong  ──►  the likest of those that share rare words
"""

import math
import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from enum import StrEnum
from heapq import nlargest
from typing import Final

import msgspec

THRESHOLD: Final = 0.6
"""Likeness from which an address counts as meant."""
APART_M: Final = 1_000.0
"""Equally like addresses further apart than this leave it open which is meant."""
MAX_TEXT_CHARS: Final = 300
MAX_WORDS: Final = 24
_SCANNED: Final = 4_000
"""Entries looked at per address; words more common decide only between those that rarer words found."""
_RANKED: Final = 24
_TIE: Final = 0.03
_OTHER_NUMBER: Final = 0.75
"""What another house of the street is worth."""
_SIGNS: Final = re.compile(r"[^0-9a-z/]+")
_NUMBER: Final = re.compile(r"\d+[0-9a-z/]*")
_GENERIC: Final = frozenset(
    ("duong", "d", "so", "phuong", "p", "xa", "x", "tinh", "quan", "q", "huyen", "h", "tp")
)
"""Words that say what kind of name follows, and so tell no address from another."""
_PHRASES: Final = re.compile(r"\b(?:thanh pho|viet nam|thi tran|thi xa)\b")
_WARD_BEFORE: Final = re.compile(r"\b(?:phuong|xa|thi tran|p|x|tt) ([a-z ]+)")
_PROVINCES: Final = frozenset({"binh duong", "ho chi minh"})
"""Behind a comma and alone these are no wards, though a ward may be called so."""
_WARD_WORDS: Final = 4


class PlacedBy(StrEnum):
    """How an address was found."""

    CODE = "code"
    ADDRESS = "address"
    FUZZY = "fuzzy"
    WARD = "ward"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One address of the gazetteer; degrees. `old_wards` are names that people still use for its ward."""

    code: str
    address: str
    lon: float
    lat: float
    ward: str | None = None
    old_wards: tuple[str, ...] = ()


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where an address is, as far as is known; `confidence` 0 to 1. A ward alone has no point."""

    by: PlacedBy
    confidence: float
    matched: str
    """The address or the ward's name as the gazetteer writes it."""
    lon: float | None = None
    lat: float | None = None
    ward: str | None = None


def fold(text: str) -> str:
    """Return `text` in small letters without diacritics, words one blank apart; commas stay."""
    plain = unicodedata.normalize("NFD", text[:MAX_TEXT_CHARS].lower().replace("đ", "d"))
    bare = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return ", ".join(" ".join(_SIGNS.sub(" ", part).split()) for part in bare.split(","))


def _words(folded: str) -> list[str]:
    words = _PHRASES.sub(" ", folded.replace(",", " ")).split()
    return [word for word in words if word not in _GENERIC][:MAX_WORDS]


class Gazetteer:
    """An index over addresses and wards: some 65 MB for 100,000, a look-up well below 1 ms."""

    def __init__(
        self,
        addresses: Iterable[Address],
        wards: Iterable[tuple[str, str]] = (),
        former: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Index `addresses`; `wards` are (code, name) of those in force, `former` of what they took over."""
        self._codes: dict[str, int] = {}
        self._exact: dict[str, int] = {}
        self._texts: list[str] = []
        self._lons, self._lats = array("d"), array("d")
        self._wards: list[str | None] = []
        self._ids: dict[str, int] = {}
        self._postings: list[array[int]] = []
        self._own: list[array[int]] = []
        """The words of each address, without those of old wards."""
        self._ward_names: dict[str, tuple[str, str] | None] = {}
        """Folded name → (code, name); None where it may be several."""
        self._ambiguous: set[int] = set()
        interned: dict[str, str] = {}
        for address in addresses:
            self._add(address, interned)
        self._weights = array("d", (math.log1p(len(self._texts) / len(post)) for post in self._postings))
        self._near = self._neighbours()
        for code, name in former:
            self._name_ward(_bare_ward(name), code, name, over=False)
        for code, name in wards:
            self._name_ward(_bare_ward(name), code, name, over=True)

    def __len__(self) -> int:
        return len(self._texts)

    def _add(self, address: Address, interned: dict[str, str]) -> None:
        number = len(self._texts)
        self._texts.append(address.address)
        self._lons.append(address.lon)
        self._lats.append(address.lat)
        self._wards.append(None if address.ward is None else interned.setdefault(address.ward, address.ward))
        if address.code:
            self._codes.setdefault(_code(address.code), number)
        words = _words(fold(address.address))
        known = self._exact.setdefault(" ".join(words), number)
        if known != number and self._distance_m(known, number) > APART_M:
            self._ambiguous.add(known)
        own = {self._id(word) for word in words}
        self._own.append(array("I", own))
        old = {self._id(word) for name in address.old_wards for word in _words(fold(name))}
        for each in own | old:
            self._postings[each].append(number)
        if address.ward is not None:
            for name in address.old_wards:
                self._name_ward(_bare_ward(name), address.ward, name, over=False)

    def _id(self, word: str) -> int:
        found = self._ids.get(word)
        if found is None:
            found = self._ids[word] = len(self._postings)
            self._postings.append(array("I"))
        return found

    def _name_ward(self, bare: str, code: str, name: str, *, over: bool) -> None:
        """Let a ward be known by a name: one in force counts, an old one of several wards says nothing."""
        known = self._ward_names.get(bare, (code, name))
        self._ward_names[bare] = (code, name) if over or (known and known[0] == code) else None

    def _neighbours(self) -> dict[str, int]:
        """Return word less a letter → the most common word it may be. Numbers are never guessed."""
        near: dict[str, int] = {}
        for word, number in self._ids.items():
            if len(word) < 4 or not word.isalpha():
                continue
            for short in _deletions(word):
                known = near.get(short)
                if known is None or len(self._postings[known]) < len(self._postings[number]):
                    near[short] = number
        return near

    # Looking up

    def find(self, text: str) -> Placement | None:
        """Return where the address in `text` is; None where it is not known, or could be several."""
        number = self._codes.get(_code(text))
        if number is not None:
            return self._placed(PlacedBy.CODE, 1.0, number)
        folded = fold(text)
        words = _words(folded)
        if not words:
            return None
        number = self._exact.get(" ".join(words))
        if number is not None and number not in self._ambiguous:
            return self._placed(PlacedBy.ADDRESS, 0.95, number)
        return self._likest(words) or self._named_ward(folded)

    def _likest(self, words: Sequence[str]) -> Placement | None:
        known = [each for word in words if (each := self._known(word)) is not None]
        asked = set(known)
        if len(asked) < 2:
            return None  # a number or a single word names no address
        total = sum(self._weights[each] for each in asked)
        total += (len(words) - len(known)) * math.log1p(len(self._texts))
        house = next((word for word in words[:2] if _NUMBER.fullmatch(word)), None)
        scored = [(*self._likeness(asked, total, house, hit), hit) for hit in self._hits(asked)]
        if not scored:
            return None
        best, explained, number = max(scored)
        if best < THRESHOLD:
            return None
        for _, other_explained, other in scored:
            # What the text leaves open is no place: the other explains it as well.
            if explained - other_explained <= _TIE and self._distance_m(number, other) > APART_M:
                return None
        return self._placed(PlacedBy.FUZZY, min(0.9, round(best, 3)), number)

    def _known(self, word: str) -> int | None:
        found = self._ids.get(word)
        if found is not None or len(word) < 4 or not word.isalpha():
            return found
        if (found := self._near.get(word)) is not None:
            return found
        for short in _deletions(word):  # a letter too many, or another one
            found = self._ids.get(short, self._near.get(short)) if short.isalpha() else None
            if found is not None:
                return found
        return None

    def _hits(self, asked: set[int]) -> list[int]:
        """Return the addresses that have the weightiest words in common."""
        found: dict[int, float] = {}
        left = _SCANNED
        for word in sorted(asked, key=lambda each: len(self._postings[each])):
            posting = self._postings[word]
            if len(posting) > left:
                # Too common to look for: it only tells apart what was found.
                if not found:
                    posting = posting[:left]
                else:
                    break
            left -= len(posting)
            weight = self._weights[word]
            for number in posting:
                found[number] = found.get(number, 0.0) + weight
        return nlargest(_RANKED, found, key=found.__getitem__)

    def _likeness(self, asked: set[int], total: float, house: str | None, number: int) -> tuple[float, float]:
        """Return how like an address is, and how much of what was asked it explains; both 0 to 1.

        An old ward's name helps where it is said and costs nothing where it is not.
        """
        own, weights = set(self._own[number]), self._weights
        listed = sum(weights[each] for each in asked if _within(self._postings[each], number))
        shared = sum(weights[each] for each in asked & own)
        explained = listed / total
        whole = max(sum(weights[each] for each in own), 1e-9)  # where only old names are words
        score = (2 * explained + shared / whole) / 3
        if house is not None and self._ids.get(house) not in own:
            return score * _OTHER_NUMBER, explained * _OTHER_NUMBER
        return score, explained

    def _named_ward(self, folded: str) -> Placement | None:
        parts = folded.split(", ")
        said = [match.split() for part in parts for match in _WARD_BEFORE.findall(part)]
        names = [" ".join(words[:count]) for words in said for count in range(_WARD_WORDS, 0, -1)]
        for name in names + [part for part in parts if part not in _PROVINCES]:
            known = self._ward_names.get(name)
            if known:
                return Placement(by=PlacedBy.WARD, confidence=0.3, matched=known[1], ward=known[0])
        return None

    def _placed(self, by: PlacedBy, confidence: float, number: int) -> Placement:
        return Placement(
            by=by,
            confidence=confidence,
            matched=self._texts[number],
            lon=self._lons[number],
            lat=self._lats[number],
            ward=self._wards[number],
        )

    def _distance_m(self, one: int, other: int) -> float:
        north = (self._lats[one] - self._lats[other]) * 111_320.0
        east = (self._lons[one] - self._lons[other]) * 111_320.0 * math.cos(math.radians(self._lats[one]))
        return math.hypot(north, east)


def _within(values: "array[int]", value: int) -> bool:
    at = bisect_left(values, value)
    return at < len(values) and values[at] == value


def _code(text: str) -> str:
    return "".join(text.upper().split())[:64]


def _bare_ward(name: str) -> str:
    folded = fold(name)
    found = _WARD_BEFORE.fullmatch(folded)
    return found[1] if found else folded


def _deletions(word: str) -> Iterable[str]:
    return (word[:at] + word[at + 1 :] for at in range(len(word)))
