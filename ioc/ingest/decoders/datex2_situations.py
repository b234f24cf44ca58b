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
    Head,
    Impact,
    Message,
    Number,
    OverallPeriod,
    Publication,
    Record,
    Situation,
    ToldRecord,
    Validity,
)
from ioc.ingest.decoders.datex2_texts import (
    MAX_LABEL_CHARS,
    MAX_WORDS_CHARS,
    identity,
    is_true,
    label,
    number,
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
_ID: Final = f"{_RECORD}.id"
_CREATION_TIME: Final = f"{_RECORD}.situationRecordCreationTime"
_VERSION_TIME: Final = f"{_RECORD}.situationRecordVersionTime"
_VALID: Final = f"{_RECORD}.validity.validityTimeSpecification"
_START: Final = f"{_VALID}.overallStartTime"
_END: Final = f"{_VALID}.overallEndTime"
_PERIOD_START: Final = f"{_VALID}.validPeriod.startOfPeriod"
_PERIOD_END: Final = f"{_VALID}.validPeriod.endOfPeriod"
_NO_VALIDITY: Final = Validity(validity_status=None)
_NO_TIMES: Final = OverallPeriod()
_MAX_LANES: Final = 16
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


_Phase = Literal["active", "planned", "suspended", "ended", "cancelled"]
"""Only what is active is in force."""


@lru_cache(maxsize=1_024)
def snake(name: str) -> str:
    """Return `MaintenanceWorks` as `maintenance_works`. Names are remembered, so they must be short."""
    return _HUMP.sub("_", name).lower()


def situations(publication: Publication, context: DecodeContext, at_us: int) -> list[Decoded | Rejection]:
    """Return what a publication of `at_us` tells, oldest versions first, in whatever order it was sent."""
    read = _Reader(publication.head, context, at_us)
    refusals: list[Decoded | Rejection] = []
    told: list[tuple[int, Decoded]] = []
    line = 0
    for situation, records in publication.situations or ():
        read.situation(situation, records)
        for record in records:
            line += 1
            try:
                told.append(read.record(line, record))
            except Refused as refused:
                refusals.append(rejection(line, record.raw, refused, record.record.id))
    told.sort(key=itemgetter(0))
    return refusals + [event for _, event in told]


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
        self._languages = _languages(preferred, own)
        creator = head.publication_creator
        self._creator = None if creator is None else label(creator.national_identifier)
        self._takes_tests = context.options.get("tests") == "accept"

    def situation(self, situation: Situation, records: list[ToldRecord]) -> None:
        """Take what is said of all of the records that follow."""
        self._records = records
        self._severity = word_of(situation.overall_severity)
        self._subject = label(situation.id)
        header = situation.header_information
        self._status = None if header is None else word_of(header.information_status)
        self._shared: Extra = {}
        if self._subject:
            self._shared["situation"] = self._subject
        if self._creator:
            self._shared["publisher"] = self._creator
        if status := label(self._status):
            self._shared["information_status"] = status
        self._common: str | None = None
        self._has_common = False

    def record(self, line: int, told: ToldRecord) -> tuple[int, Decoded]:
        """Return when a record became what it is, and its event.

        Raises:
            Refused: what is wrong with it.
        """
        record, context = told.record, self._context
        name = identity(record, _ID)
        status = self._status or "real"
        if status != "real" and not self._takes_tests:
            detail = f"{status[:64]}: only what is real is taken; the option tests=accept takes exercises too"
            raise Refused("real", detail, "situation.headerInformation.informationStatus")
        phase, since_us = _phase(record, self._at_us, context.zone)
        place = place_of(record.location_reference or record.group_of_locations or {})
        position = place.position()
        severity = word_of(record.severity) or self._severity or ""
        extra = self._extra(told, phase)
        _put_place(extra, place)
        _put_effects(extra, record)
        data = TrafficSituation(
            situation_id=name,
            kind=_kind(told.kind) or "situation_record",
            active=phase == "active",
            severity=SEVERITIES.get(severity),
            version=label(record.version or record.situation_record_version),
            text=self._text(record) or self._text_of_another(),
            road=_road(place, self._languages),
            extra=extra,
        )
        stated_us = self._time_us(record, since_us)
        return stated_us, Decoded(
            line=line,
            id=_event_id(phase, told.raw),
            source=context.device_id,
            time_us=lasting_us(stated_us, self._at_us, context.now_us),
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
        """Return what is for the public, each comment on a line; a comment for operators only is not."""
        comments = record.general_public_comment
        if not comments:
            return None
        if len(comments) == 1:
            return words(comments[0].comment, self._languages) or None
        found = [words(comment.comment, self._languages) for comment in comments]
        return "\n".join(dict.fromkeys(filter(None, found)))[:MAX_WORDS_CHARS] or None

    def _text_of_another(self) -> str | None:
        """Return the situation's text, which publishers put into one of its records for all of them."""
        if not self._has_common:
            self._has_common = True
            for each in self._records:
                self._common = self._text(each.record)
                if self._common:
                    break
        return self._common

    def _time_us(self, record: Record, since_us: int | None) -> int:
        """Return when it became what it is: its version's time, or when its validity began or ended."""
        zone = self._context.zone
        stated_us = time_us(record.situation_record_version_time, zone, _VERSION_TIME)
        if stated_us is None:
            stated_us = time_us(record.situation_record_creation_time, zone, _CREATION_TIME)
        return self._at_us if stated_us is None else max(stated_us, since_us or stated_us)


@lru_cache(maxsize=256)
def _languages(preferred: str, own: str) -> tuple[str, ...]:
    """Return the languages, of two letters each, in which texts are looked for."""
    return tuple(filter(None, (preferred, "vi", "en", own)))


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
    start_us = time_us(times.overall_start_time, zone, _START)
    end_us = time_us(times.overall_end_time, zone, _END)
    if end_us is not None and end_us <= at_us and not is_true(validity.overrunning):
        return "ended", end_us
    if status == "active":
        return "active", None
    if start_us is not None and at_us < start_us:
        return "planned", None
    periods = [
        (
            time_us(period.start_of_period, zone, _PERIOD_START),
            time_us(period.end_of_period, zone, _PERIOD_END),
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
    cause = record.cause
    if cause is None:
        return _kind(word_of(record.accident_cause))
    return _kind(word_of(cause.cause_type) or word_of(record.accident_cause) or word_of(cause.managed_cause))


def _kind(word: str | None) -> str | None:
    if not word:
        return None
    name = label(word)
    return snake(name)[:MAX_LABEL_CHARS] if name else None


def _road(place: Place, languages: tuple[str, ...]) -> str | None:
    if place.roads:
        for name in ("roadNumber", "roadName"):
            for told in place.roads.get(name, ()):
                if road := label(words(told, languages)):
                    return road
    return None


def _put_place(extra: Extra, place: Place) -> None:
    """Put in which lanes and which way of the road are affected."""
    if place.carriageways and (carriageways := _line(place.carriageways)):
        extra["carriageway"] = carriageways
    if place.lanes and (lanes := _line(place.lanes)):
        extra["lanes"] = lanes
    if direction := label(place.direction()):
        extra["direction"] = snake(direction)


def _line(names: dict[str, None]) -> str | None:
    return label(" ".join([snake(each[:64]) for each in list(names)[:_MAX_LANES]]))


def _put_effects(extra: Extra, record: Record) -> None:
    """Put in what a record does to the traffic, in units."""
    _put_number(extra, "speed_limit_kmh", record.temporary_speed_limit)
    _put_number(extra, "queue_m", record.queue_length)
    if record.impact is not None:
        _put_impact(extra, record.impact)
    if is_true(record.safety_related_message):
        extra["safety_related"] = True


def _put_impact(extra: Extra, impact: Impact) -> None:
    delays = impact.delays
    _put_number(extra, "lanes_restricted", impact.number_of_lanes_restricted)
    _put_number(extra, "lanes_open", impact.number_of_operational_lanes)
    _put_number(extra, "lanes_total", impact.original_number_of_lanes)
    if delays is not None:
        _put_number(extra, "delay_s", delays.delay_time_value)
    if constriction := _kind(word_of(impact.traffic_constriction_type)):
        extra["constriction"] = constriction
    if delays is not None and (band := _kind(word_of(delays.delay_band))):
        extra["delay_band"] = band


def _put_number(extra: Extra, name: str, told: Number) -> None:
    if told is not None and (found := number(told)) is not None:
        extra[name] = found
