"""Decides what becomes of decoded events: authorise, validate the time, locate. Pure.

decoded event ─ may send for source? ─ registered? ─ enabled? ─ time plausible? ─ room? ─ place ─► record
                       │ no                 │ no        │ no           │ no         │ no (overload)
                       ├────────────────────┴───────────│──────────────┴────────────│───► quarantine
                       └────────────────────────────────┴───────────────────────────┴───► answer
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from ioc.ingest.decoders.base import Decoded, Rejection
from ioc.ingest.limits import IngestLimits
from ioc.ingest.ports import (
    DEVICE_DISABLED,
    NO_ADDRESSES,
    Addresses,
    QuarantineRow,
    Registry,
    Wards,
)
from ioc.model.events import Event, EventData, Extra, FeedbackReport, encode_event, type_of
from ioc.model.places import Device
from ioc.model.records import NewRecord, RecordKind
from ioc.model.times import format_us

LeavesOut = Callable[[Decoded, int], bool]
"""Whether an event is left out now, microseconds since the epoch."""
Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

POSITION_ZERO: Final = "position_zero"
POSITION_OUTSIDE: Final = "position_outside"
POSITION_SWAPPED: Final = "position_swapped"
UNLOCATED: Final = "unlocated"
PLACED_BY: Final = "placed_by"
PLACE_CONFIDENCE: Final = "place_confidence"
"""Fields of `extra` of a report that was placed by its address (`ioc/geo/gazetteer.py`)."""
CORRECTED: Final = "position_corrected"
"""The field of `extra` that says what was put right of a position."""
MAX_ROWS_OF_ONE: Final = 10
"""Refusals that share their bytes (the objects of one frame) and are each kept with them. What more there are
stand in the answer and the metrics: one message must not fill the quarantine."""
_SAMPLED: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f][13579bdf]")
"""A `traceparent` of W3C Trace Context whose flag says that the trace is written."""


class RejectedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One refused event in the answer to its sender."""

    line: int
    rule: str
    detail: str
    id: str | None = None
    field: str | None = None


class Seen(NamedTuple):
    """What is counted of an admitted event for its device's health."""

    source: str
    time_us: int
    position_wrong: bool


class Admission(msgspec.Struct, kw_only=True):
    """What the gateway wants done; nothing has been done yet."""

    records: list[NewRecord] = []
    streams: list[str] = []
    """The stream of each record, for the metrics."""
    seen: list[Seen] = []
    """One for each record."""
    rejected: list[RejectedEvent] = []
    quarantine: list[QuarantineRow] = []
    shed: Counter[str] = msgspec.field(default_factory=Counter)
    """Events that were left out, by type."""
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    """Events by position finding: `position_zero`, `position_outside`, `position_swapped`, `unlocated`."""


def _traced(event: Event, own: str | None, trace: str) -> Event:
    carried = own if own and _SAMPLED.fullmatch(own) else trace
    return msgspec.structs.replace(event, trace=carried) if carried else event


class Gateway:
    """Judges events by registry, limits and the city's bounds."""

    def __init__(
        self,
        registry: Registry,
        wards: Wards,
        bounds: Bounds,
        limits: IngestLimits,
        addresses: Addresses = NO_ADDRESSES,
    ) -> None:
        self._registry = registry
        self._wards = wards
        self._bounds = bounds
        self._limits = limits
        self._addresses = addresses

    def admit(
        self,
        sender: Device,
        events: Iterable[Decoded],
        rejections: Iterable[Rejection],
        now_us: int,
        trace: str | None = None,
        leaves_out: LeavesOut | None = None,
    ) -> Admission:
        """Return records to append and rows to quarantine for one body of `sender`.

        `rejections` are the decoder's; they join the gateway's own in the answer, ordered by line. `trace` is
        the context that events without one of their own carry on, "" for none; None takes none of them.
        `leaves_out` is asked under overload, of each event that would be let in.
        """
        admission = Admission()
        kept: Counter[tuple[int, bytes]] = Counter()
        for rejection in rejections:
            self._refuse(admission, kept, sender, rejection, now_us)
        for decoded in events:
            source = self._registry.device(decoded.source)
            refused = self._judge(sender, source, decoded, now_us)
            if refused is not None or source is None:
                self._refuse(admission, kept, sender, _rejection(decoded, refused or _UNREGISTERED), now_us)
                continue
            if leaves_out is not None and leaves_out(decoded, now_us):
                admission.shed[type_of(decoded.data)] += 1
                continue
            event, wrong = self._locate(source, decoded, now_us, admission.counts)
            admission.seen.append(Seen(event.source, event.time_us, wrong))
            if trace is not None:
                event = _traced(event, decoded.trace, trace)
            admission.streams.append(event.stream)
            admission.records.append(
                NewRecord(
                    RecordKind.EVENT,
                    event.ward or event.source,
                    encode_event(event),
                    (event.source, event.id),
                )
            )
        admission.rejected.sort(key=lambda rejected: rejected.line)
        return admission

    def _judge(
        self, sender: Device, source: Device | None, decoded: Decoded, now_us: int
    ) -> "_Verdict | None":
        # Authority first: a device must not learn which other sources are registered.
        if not sender.may_send_for(decoded.source):
            return _Verdict("source", "may_send_for", f"{sender.id} may not send events of this source")
        if source is None:
            return _UNREGISTERED
        if self._registry.disabled(source.id):
            return _DISABLED
        if decoded.time_us > now_us + self._limits.max_ahead_us:
            detail = f"{_shown(decoded.time_us)} is more than {_minutes(self._limits.max_ahead_us)} ahead"
            return _Verdict("time", "not_in_future", f"{detail} of {format_us(now_us)}")
        if decoded.time_us < now_us - self._limits.max_age_us:
            detail = f"{_shown(decoded.time_us)} is more than {_minutes(self._limits.max_age_us)} before"
            return _Verdict("time", "not_too_old", f"{detail} {format_us(now_us)}")
        return None

    def _locate(
        self, source: Device, decoded: Decoded, now_us: int, counts: Counter[str]
    ) -> tuple[Event, bool]:
        """Return the event with its place, and whether the sent position was wrong."""
        lon, lat, ward, data = source.lon, source.lat, source.ward, decoded.data
        sent_lon, sent_lat = decoded.lon, decoded.lat
        finding: str | None = None
        if sent_lon is not None or sent_lat is not None:
            finding = self._finding(sent_lon, sent_lat)
            if finding == POSITION_SWAPPED and source.trusts_position:
                sent_lon, sent_lat = sent_lat, sent_lon
                data = _noted(data, CORRECTED, "swapped")
            if finding is not None:
                counts[finding] += 1
            usable = source.trusts_position and finding in (None, POSITION_SWAPPED)
            if usable and sent_lon is not None and sent_lat is not None:
                # A ward of another place would show the event to the wrong people: better none.
                lon, lat, ward = sent_lon, sent_lat, self._wards.ward_of(sent_lon, sent_lat)
        if source.trusts_position and lon is None and ward is None:
            lon, lat, ward, data = self._by_address(data, counts)
        if ward is None and lon is not None and lat is not None and (lon, lat) != (sent_lon, sent_lat):
            ward = self._wards.ward_of(lon, lat)
        if ward is None:
            counts[UNLOCATED] += 1
        event = Event(
            id=decoded.id,
            source=source.id,
            time_us=decoded.time_us,
            received_us=now_us,
            data=data,
            ward=ward,
            lon=lon,
            lat=lat,
            subject=decoded.subject,
        )
        return event, finding is not None

    def _by_address(
        self, data: EventData, counts: Counter[str]
    ) -> tuple[float | None, float | None, str | None, EventData]:
        """Return place, ward and data of a report by its address; the data say how, and how sure that is."""
        address = data.address if isinstance(data, FeedbackReport) else None
        found = self._addresses.find(address) if address else None
        if found is None:
            return None, None, None, data
        counts[f"placed_{found.by}"] += 1
        extra: Extra = {**data.extra, PLACED_BY: found.by.value, PLACE_CONFIDENCE: found.confidence}
        return found.lon, found.lat, found.ward, msgspec.structs.replace(data, extra=extra)

    def _finding(self, lon: float | None, lat: float | None) -> str | None:
        """Return what is wrong with a position; None for nothing.

        Swapped is only what lies in the city one way round: a guess between two places would be none.
        """
        if lon is None or lat is None:
            return POSITION_OUTSIDE
        if self._plausible(lon, lat):
            return None
        if (lon, lat) == (0.0, 0.0):
            return POSITION_ZERO
        return POSITION_SWAPPED if self._plausible(lat, lon) else POSITION_OUTSIDE

    def _plausible(self, lon: float, lat: float) -> bool:
        """Inside the city's bounds; not-a-number fails every comparison, and 0,0 is no place of ours."""
        west, south, east, north = self._bounds
        return west <= lon <= east and south <= lat <= north and (lon, lat) != (0.0, 0.0)

    def _refuse(
        self,
        admission: Admission,
        kept: Counter[tuple[int, bytes]],
        sender: Device,
        rejection: Rejection,
        now_us: int,
    ) -> None:
        """Note a refusal for the answer and the quarantine; `kept` counts its rows by line and bytes."""
        admission.rejected.append(
            RejectedEvent(
                line=rejection.line,
                rule=rejection.rule,
                detail=rejection.detail,
                id=rejection.id,
                field=rejection.field,
            )
        )
        # Nobody is to mend what a disabled device sends, and it may send for months.
        if not rejection.raw or rejection.rule == DEVICE_DISABLED:
            return
        kept[rejection.line, rejection.raw] += 1
        if kept[rejection.line, rejection.raw] > MAX_ROWS_OF_ONE:
            return
        admission.quarantine.append(
            QuarantineRow(
                received_us=now_us,
                device=sender.id,
                source=rejection.source,
                event_id=rejection.id,
                reason=rejection.rule,
                field=rejection.field,
                detail=rejection.detail,
                raw=rejection.raw[: self._limits.max_event_bytes],
                truncated=len(rejection.raw) > self._limits.max_event_bytes,
            )
        )


def _noted(data: EventData, name: str, value: str) -> EventData:
    """Return `data` with one more field in `extra`, where rules and people can see it."""
    extra: Extra = {**data.extra, name: value}
    return msgspec.structs.replace(data, extra=extra)


class _Verdict(msgspec.Struct, frozen=True):
    field: str
    rule: str
    detail: str


_UNREGISTERED: Final = _Verdict("source", "registered_source", "this source is not registered")
_DISABLED: Final = _Verdict("source", DEVICE_DISABLED, "this source is disabled: nothing of it is taken")


def _rejection(decoded: Decoded, verdict: _Verdict) -> Rejection:
    return Rejection(
        line=decoded.line,
        rule=verdict.rule,
        detail=verdict.detail,
        raw=decoded.raw,
        id=decoded.id,
        source=decoded.source,
        field=verdict.field,
    )


def _minutes(span_us: int) -> str:
    minutes = span_us // 60_000_000
    return f"{minutes // 1440} days" if minutes >= 2880 else f"{minutes} minutes"


def _shown(time_us: int) -> str:
    try:
        return format_us(time_us)
    except (OverflowError, ValueError):
        return "this time"
