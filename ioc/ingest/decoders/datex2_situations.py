"""DATEX II SituationPublication: each version of each record becomes one `traffic.situation`.

Whether a record is in force is judged at the publication's time, not at ours, so the same bytes always give
the same events. A feed that sends everything each minute repeats itself: the id is made of what the record
says, so a repeat is a duplicate, while a record whose time has come, or is over, becomes a new event.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import tzinfo
from enum import StrEnum
from typing import Any, Final
from xml.etree.ElementTree import Element

import msgspec

from ioc.ingest.decoders.base import DecodeContext, Decoded, Rejection
from ioc.ingest.decoders.data import Refused, typed_data
from ioc.ingest.decoders.datex2_tree import (
    Tree,
    attribute,
    identity,
    is_true,
    label,
    own_value,
    rejection,
    time_at,
    type_of,
    value_text,
    words,
)
from ioc.ingest.decoders.moments import lasting_us
from ioc.ingest.decoders.positions import position_of
from ioc.ingest.decoders.xml import children, found_at, own_text, text_of
from ioc.model.events import Extra

SEVERITIES: Final = {
    "highest": "critical",
    "high": "high",
    "medium": "medium",
    "low": "low",
    "lowest": "low",
}
"""`none` and `unknown` say nothing of it."""
_RECORD: Final = "situation.situationRecord"
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TIMES: Final = ("validity", "validityTimeSpecification")
_LOCATIONS: Final = ("locationReference", "groupOfLocations")


class _Phase(StrEnum):
    ACTIVE = "active"
    PLANNED = "planned"
    SUSPENDED = "suspended"
    ENDED = "ended"
    CANCELLED = "cancelled"


def snake(name: str) -> str:
    """Return `MaintenanceWorks` as `maintenance_works`."""
    return _HUMP.sub("_", name).lower()


def situations(
    publication: Element, tree: Tree, context: DecodeContext, at_us: int
) -> Iterator[Decoded | Rejection]:
    """Yield what a publication of `at_us` tells, oldest versions first, in whatever order it was sent."""
    read = _Reader(publication, context, at_us)
    told: list[Decoded] = []
    line = 0
    for situation in children(publication, "situation"):
        for record in children(situation, "situationRecord"):
            line += 1
            raw = tree.raw(record)
            try:
                told.append(read.record(line, situation, record, raw))
            except Refused as refused:
                yield rejection(line, raw, refused, attribute(record, "id"))
    told.sort(key=lambda event: event.time_us)
    for event in told:
        event_us = lasting_us(event.time_us, at_us, context.now_us)
        yield event if event_us == event.time_us else msgspec.structs.replace(event, time_us=event_us)


def withdrawals(tree: Tree, context: DecodeContext, at_us: int) -> Iterator[Decoded | Rejection]:
    """Yield the end of whatever a message container's `informationManagement` closes or cancels."""
    for line, element in enumerate(tree.root.iter("elementReference"), 1):
        raw = tree.raw(element)
        reference = next((e for e in element if e.tag in ("reference", "versionedReference")), element)
        try:
            name = identity(reference, "informationManagement.elementReference.reference")
            status = value_text(element, "managementStatus") or "closed"
            version = label(attribute(reference, "version"))
            fields = {"situation_id": name, "kind": snake(status)[:64], "active": False, "version": version}
            data, _ = typed_data("traffic.situation", fields)
        except Refused as refused:
            yield rejection(line, raw, refused)
            continue
        yield Decoded(
            line=line,
            id=_event_id(snake(status)[:32], raw),
            source=context.device_id,
            time_us=lasting_us(at_us, at_us, context.now_us),
            data=data,
            raw=raw,
            subject=name,
        )


class _Reader:
    """Reads the records of one publication."""

    def __init__(self, publication: Element, context: DecodeContext, at_us: int) -> None:
        self._context = context
        self._at_us = at_us
        own = (publication.get("lang") or "")[:2].lower()
        preferred = context.options.get("language", "")[:2].lower()
        self._languages = tuple(filter(None, (preferred, "vi", "en", own)))
        creator = publication.find("publicationCreator")
        self._creator = label(text_of(creator, "nationalIdentifier"))
        self._situation: Element | None = None
        self._common: str | None = None
        self._takes_tests = context.options.get("tests") == "accept"

    def record(self, line: int, situation: Element, record: Element, raw: bytes) -> Decoded:
        """Return a record's event.

        Raises:
            Refused: what is wrong with it.
        """
        name = identity(record, f"{_RECORD}.id")
        stated = value_text(situation.find("headerInformation"), "informationStatus")
        status = stated or "real"
        if status != "real" and not self._takes_tests:
            detail = f"{status[:64]}: only what is real is taken; the option tests=accept takes exercises too"
            raise Refused("real", detail, "situation.headerInformation.informationStatus")
        zone = self._context.zone
        phase, since_us = _phase(record, self._at_us, zone)
        version = label(attribute(record, "version") or text_of(record, "situationRecordVersion"))
        place = next((position_of(e) for e in record if e.tag in _LOCATIONS), None)
        fields = self._fields(situation, record, name, version, phase)
        data, _ = typed_data("traffic.situation", fields, self._extra(situation, record, phase, stated))
        return Decoded(
            line=line,
            id=_event_id(phase, raw),
            source=self._context.device_id,
            time_us=self._time_us(record, zone, since_us),
            data=data,
            raw=raw,
            lon=place[0] if place else None,
            lat=place[1] if place else None,
            subject=label(attribute(situation, "id")),
        )

    def _fields(
        self, situation: Element, record: Element, name: str, version: str | None, phase: _Phase
    ) -> dict[str, Any]:
        severity = value_text(record, "severity") or value_text(situation, "overallSeverity") or ""
        return {
            "situation_id": name,
            "kind": snake(label(type_of(record)) or "situation_record"),
            "active": phase is _Phase.ACTIVE,
            "severity": SEVERITIES.get(severity),
            "version": version,
            "text": self._text(record) or self._text_of_another(situation),
            "road": _road(record, self._languages),
        }

    def _extra(self, situation: Element, record: Element, phase: _Phase, status: str | None) -> Extra:
        extra = {
            "situation": label(attribute(situation, "id")),
            "detail": _detail(record),
            "cause": _cause(record),
            "phase": phase.value,
            "probability": label(value_text(record, "probabilityOfOccurrence")),
            "version_time": label(text_of(record, "situationRecordVersionTime")),
            "valid_from": label(own_text(found_at(record, *_TIMES, "overallStartTime"))),
            "valid_to": label(own_text(found_at(record, *_TIMES, "overallEndTime"))),
            "publisher": self._creator,
            "information_status": label(status),
        }
        return {key: value for key, value in extra.items() if value is not None}

    def _text(self, record: Element) -> str | None:
        """Return what is for the public; a comment for operators only is not."""
        for comment in children(record, "generalPublicComment"):
            if text := words(comment.find("comment"), self._languages):
                return text
        return None

    def _text_of_another(self, situation: Element) -> str | None:
        """Return the situation's text, which publishers put into one of its records for all of them."""
        if self._situation is not situation:
            texts = (self._text(record) for record in children(situation, "situationRecord"))
            self._situation, self._common = situation, next(filter(None, texts), None)
        return self._common

    def _time_us(self, record: Element, zone: tzinfo | None, since_us: int | None) -> int:
        """Return when it became what it is: its version's time, or when its validity began or ended."""
        for name in ("situationRecordVersionTime", "situationRecordCreationTime"):
            stated_us = time_at(record, name, zone, f"{_RECORD}.{name}")
            if stated_us is not None:
                return max(stated_us, since_us or stated_us)
        return self._at_us


def _event_id(phase: str, raw: bytes) -> str:
    # What a record says, its id and version included, and whether it was in force then.
    return f"{hashlib.blake2b(raw, digest_size=16).hexdigest()}-{phase[:32]}"


def _phase(record: Element, at_us: int, zone: tzinfo | None) -> tuple[_Phase, int | None]:
    """Return whether a record is in force at `at_us`, and since when its validity says so.

    Times of the day and week that recur are not looked at: within its whole period such a record is in force.
    """
    life = found_at(record, "management", "lifeCycleManagement")
    if is_true(life, "cancel"):
        return _Phase.CANCELLED, None
    if is_true(life, "end"):
        return _Phase.ENDED, None
    validity = record.find("validity")
    status = value_text(validity, "validityStatus")
    if status in (_Phase.PLANNED, _Phase.SUSPENDED):
        return _Phase(status), None
    field = f"{_RECORD}.validity.validityTimeSpecification"
    times = None if validity is None else validity.find("validityTimeSpecification")
    start_us = time_at(times, "overallStartTime", zone, f"{field}.overallStartTime")
    end_us = time_at(times, "overallEndTime", zone, f"{field}.overallEndTime")
    if end_us is not None and end_us <= at_us and not is_true(validity, "overrunning"):
        return _Phase.ENDED, end_us
    if status == _Phase.ACTIVE:
        return _Phase.ACTIVE, None
    if start_us is not None and at_us < start_us:
        return _Phase.PLANNED, None
    periods = [] if times is None else [
        (
            time_at(period, "startOfPeriod", zone, f"{field}.validPeriod.startOfPeriod"),
            time_at(period, "endOfPeriod", zone, f"{field}.validPeriod.endOfPeriod"),
        )
        for period in children(times, "validPeriod")
    ]  # fmt: skip
    if not periods:
        return _Phase.ACTIVE, start_us
    for begin_us, over_us in periods:
        if (begin_us is None or begin_us <= at_us) and (over_us is None or at_us < over_us):
            return _Phase.ACTIVE, begin_us or start_us
    return _Phase.PLANNED, max(
        (over_us for _, over_us in periods if over_us and over_us <= at_us), default=None
    )


_CAUSES: Final = (("cause", "causeType"), ("accidentCause",), ("cause", "managedCause"))
_NO_DETAIL: Final = frozenset({"vehicleType", "sourceType"})


def _detail(record: Element) -> str | None:
    """Return the record's own kind within its class, e.g. `multivehicle_accident` of an accident."""
    for child in record:
        if child.tag.endswith("Type") and child.tag not in _NO_DETAIL and (text := own_value(child)):
            return label(snake(text))
    return None


def _cause(record: Element) -> str | None:
    for path in _CAUSES:
        if text := own_value(found_at(record, *path)):
            return label(snake(text))
    return None


_ROAD: Final[tuple[tuple[str, Callable[[Element, tuple[str, ...]], str | None]], ...]] = (
    ("roadNumber", lambda found, _: own_text(found)),
    ("roadName", words),
)


def _road(record: Element, languages: tuple[str, ...]) -> str | None:
    for location in record:
        if location.tag in _LOCATIONS:
            for name, read in _ROAD:
                for found in location.iter(name):
                    if road := label(read(found, languages)):
                        return road
    return None
