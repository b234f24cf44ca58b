"""DATEX II SituationPublication: each version of each record becomes one `traffic.situation`.

Whether a record is in force is judged at the publication's time, not at ours, so the same bytes always give
the same events. A feed that sends everything each minute repeats itself: the id is made of what the record
says, so a repeat is a duplicate, while a record whose time has come, or is over, becomes a new event.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import tzinfo
from functools import lru_cache
from operator import itemgetter
from typing import Final, Literal

from ioc.ingest.decoders.base import DecodeContext, Decoded, Rejection
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.datex2_forms import (
    Cause,
    Head,
    Message,
    OverallPeriod,
    Publication,
    Record,
    Situation,
    ToldRecord,
    Validity,
)
from ioc.ingest.decoders.datex2_texts import (
    MAX_LABEL_CHARS,
    identity,
    is_true,
    label,
    rejection,
    time_us,
    word_of,
    words,
)
from ioc.ingest.decoders.moments import lasting_us
from ioc.ingest.decoders.positions import Place, place_of
from ioc.model.events import Extra, TrafficSituation
from ioc.model.incidents import Severity

SEVERITIES: Final = {
    "highest": Severity.CRITICAL,
    "high": Severity.HIGH,
    "medium": Severity.MEDIUM,
    "low": Severity.LOW,
    "lowest": Severity.LOW,
}
"""`none` and `unknown` say nothing of it."""
_RECORD: Final = "situation.situationRecord"
_VALID: Final = f"{_RECORD}.validity.validityTimeSpecification"
_NO_CAUSE: Final = Cause()
_NO_VALIDITY: Final = Validity(validity_status=None)
_NO_TIMES: Final = OverallPeriod()
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


_Phase = Literal["active", "planned", "suspended", "ended", "cancelled"]
"""Only what is active is in force."""


@lru_cache(maxsize=1_024)
def snake(name: str) -> str:
    """Return `MaintenanceWorks` as `maintenance_works`. Names are remembered, so they must be short."""
    return _HUMP.sub("_", name).lower()


def situations(publication: Publication, context: DecodeContext, at_us: int) -> Iterator[Decoded | Rejection]:
    """Yield what a publication of `at_us` tells, oldest versions first, in whatever order it was sent."""
    read = _Reader(publication.head, context, at_us)
    told: list[tuple[int, Decoded]] = []
    line = 0
    for situation, records in publication.situations or ():
        read.situation(situation, records)
        for record in records:
            line += 1
            try:
                told.append(read.record(line, record))
            except Refused as refused:
                yield rejection(line, record.raw, refused, record.record.id)
    told.sort(key=itemgetter(0))
    for _, event in told:
        yield event


def withdrawals(message: Message, context: DecodeContext) -> Iterator[Decoded | Rejection]:
    """Yield the end of whatever a message container's `informationManagement` closes or cancels."""
    at_us: int | None = None
    for line, ending in enumerate(message.endings, 1):
        if at_us is None:
            at_us = _generated_us(message, context)
        try:
            name = identity(ending.reference, "informationManagement.elementReference.reference")
            status = snake((ending.status or "closed")[:64])
            version = label(ending.reference.version)
        except Refused as refused:
            yield rejection(line, ending.raw, refused)
            continue
        yield Decoded(
            line=line,
            id=_event_id(status[:32], ending.raw),
            source=context.device_id,
            time_us=lasting_us(at_us, at_us, context.now_us),
            data=TrafficSituation(situation_id=name, kind=status[:64], active=False, version=version),
            raw=ending.raw,
            subject=name,
        )


def _generated_us(message: Message, context: DecodeContext) -> int:
    """Return when a container was made, ours where it does not say or not well."""
    for text in message.generated:
        try:
            stated_us = time_us(text, context.zone, "messageGenerationTimestamp")
        except Refused:
            continue
        if stated_us is not None:
            return stated_us
    return context.now_us


class _Reader:
    """Reads the records of one publication, situation by situation."""

    def __init__(self, head: Head, context: DecodeContext, at_us: int) -> None:
        self._context = context
        self._at_us = at_us
        own = (head.lang or "")[:2].lower()
        preferred = context.options.get("language", "")[:2].lower()
        self._languages = tuple(filter(None, (preferred, "vi", "en", own)))
        creator = head.publication_creator
        self._creator = None if creator is None else label(creator.national_identifier)
        self._takes_tests = context.options.get("tests") == "accept"

    def situation(self, situation: Situation, records: list[ToldRecord]) -> None:
        """Take what is said of all of the records that follow."""
        self._situation, self._records = situation, records
        self._subject = label(situation.id)
        header = situation.header_information
        self._status = None if header is None else word_of(header.information_status)
        shared = {
            "situation": self._subject,
            "publisher": self._creator,
            "information_status": label(self._status),
        }
        self._shared: Extra = {key: value for key, value in shared.items() if value is not None}
        self._common: str | None = None
        self._has_common = False

    def record(self, line: int, told: ToldRecord) -> tuple[int, Decoded]:
        """Return when a record became what it is, and its event.

        Raises:
            Refused: what is wrong with it.
        """
        record = told.record
        name = identity(record, f"{_RECORD}.id")
        status = self._status or "real"
        if status != "real" and not self._takes_tests:
            detail = f"{status[:64]}: only what is real is taken; the option tests=accept takes exercises too"
            raise Refused("real", detail, "situation.headerInformation.informationStatus")
        phase, since_us = _phase(record, self._at_us, self._context.zone)
        place = place_of(record.location_reference or record.group_of_locations or {})
        position = place.position()
        severity = word_of(record.severity) or word_of(self._situation.overall_severity) or ""
        data = TrafficSituation(
            situation_id=name,
            kind=_kind(told.kind) or "situation_record",
            active=phase == "active",
            severity=SEVERITIES.get(severity),
            version=label(record.version or record.situation_record_version),
            text=self._text(record) or self._text_of_another(),
            road=_road(place, self._languages),
            extra=self._extra(told, phase),
        )
        stated_us = self._time_us(record, since_us)
        return stated_us, Decoded(
            line=line,
            id=_event_id(phase, told.raw),
            source=self._context.device_id,
            time_us=lasting_us(stated_us, self._at_us, self._context.now_us),
            data=data,
            raw=told.raw,
            lon=position[0] if position else None,
            lat=position[1] if position else None,
            subject=self._subject,
        )

    def _extra(self, told: ToldRecord, phase: _Phase) -> Extra:
        record = told.record
        times = record.validity and record.validity.validity_time_specification
        extra: Extra = {"phase": phase, **self._shared}
        if detail := _kind(told.detail):
            extra["detail"] = detail
        if cause := _cause(record):
            extra["cause"] = cause
        if probability := label(word_of(record.probability_of_occurrence)):
            extra["probability"] = probability
        if version_time := label(record.situation_record_version_time):
            extra["version_time"] = version_time
        if times and (begin := label(times.overall_start_time)):
            extra["valid_from"] = begin
        if times and (end := label(times.overall_end_time)):
            extra["valid_to"] = end
        return extra

    def _text(self, record: Record) -> str | None:
        """Return what is for the public; a comment for operators only is not."""
        for comment in record.general_public_comment:
            if text := words(comment.comment, self._languages):
                return text
        return None

    def _text_of_another(self) -> str | None:
        """Return the situation's text, which publishers put into one of its records for all of them."""
        if not self._has_common:
            texts = (self._text(each.record) for each in self._records)
            self._has_common, self._common = True, next(filter(None, texts), None)
        return self._common

    def _time_us(self, record: Record, since_us: int | None) -> int:
        """Return when it became what it is: its version's time, or when its validity began or ended."""
        zone = self._context.zone
        stated_us = time_us(
            record.situation_record_version_time, zone, f"{_RECORD}.situationRecordVersionTime"
        )
        if stated_us is None:
            stated_us = time_us(
                record.situation_record_creation_time, zone, f"{_RECORD}.situationRecordCreationTime"
            )
        return self._at_us if stated_us is None else max(stated_us, since_us or stated_us)


def _event_id(phase: str, raw: bytes) -> str:
    # What a record says, its id and version included, and whether it was in force then.
    return f"{hashlib.blake2b(raw, digest_size=16).hexdigest()}-{phase}"


def _phase(record: Record, at_us: int, zone: tzinfo | None) -> tuple[_Phase, int | None]:
    """Return whether a record is in force at `at_us`, and since when its validity says so.

    Times of the day and week that recur are not looked at: within its whole period such a record is in force.
    """
    life = record.management and record.management.life_cycle_management
    if life and is_true(life.cancel):
        return "cancelled", None
    if life and is_true(life.end):
        return "ended", None
    validity = record.validity or _NO_VALIDITY
    status = word_of(validity.validity_status)
    if status == "planned":
        return "planned", None
    if status == "suspended":
        return "suspended", None
    times = validity.validity_time_specification or _NO_TIMES
    start_us = time_us(times.overall_start_time, zone, f"{_VALID}.overallStartTime")
    end_us = time_us(times.overall_end_time, zone, f"{_VALID}.overallEndTime")
    if end_us is not None and end_us <= at_us and not is_true(validity.overrunning):
        return "ended", end_us
    if status == "active":
        return "active", None
    if start_us is not None and at_us < start_us:
        return "planned", None
    periods = [
        (
            time_us(period.start_of_period, zone, f"{_VALID}.validPeriod.startOfPeriod"),
            time_us(period.end_of_period, zone, f"{_VALID}.validPeriod.endOfPeriod"),
        )
        for period in times.valid_period
    ]
    if not periods:
        return "active", start_us
    for begin_us, over_us in periods:
        if (begin_us is None or begin_us <= at_us) and (over_us is None or at_us < over_us):
            return "active", begin_us or start_us
    return "planned", max((over_us for _, over_us in periods if over_us and over_us <= at_us), default=None)


def _cause(record: Record) -> str | None:
    cause = record.cause or _NO_CAUSE
    word = word_of(cause.cause_type) or word_of(record.accident_cause) or word_of(cause.managed_cause)
    return _kind(word)


def _kind(word: str | None) -> str | None:
    name = label(word)
    return snake(name)[:MAX_LABEL_CHARS] if name else None


def _road(place: Place, languages: tuple[str, ...]) -> str | None:
    for name in ("roadNumber", "roadName"):
        for told in place.roads.get(name, ()):
            if road := label(words(told, languages)):
                return road
    return None
