"""DATEX II MeasuredDataPublication and ElaboratedDataPublication: flow, speed, occupancy, travel time.

A site's values are told apart by an index whose meaning, lane and vehicle class, stands in the table of
sites. `ioc devices import-sites` keeps of it what is needed in the options of each site's device,
which the decoder asks for by the site's id. Without that, values of one kind are numbered in their order.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ioc.ingest.decoders.base import DecodeContext, Decoded, Rejection
from ioc.ingest.decoders.data import COUNT_MAX, RANGES, Refused
from ioc.ingest.decoders.datex2_forms import Basic, Instant, Measure, Number, Publication, Site, Value
from ioc.ingest.decoders.datex2_texts import (
    identity,
    is_true,
    label,
    number,
    rejection,
    time_us,
    word_of,
    words,
)
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.model.events import EventData, TrafficFlow, TrafficStatus, TrafficTravelTime
from ioc.model.times import SECOND_US

INDEX_OPTION: Final = "index."
"""`index.lane1 = "1 2"`: values 1 and 2 of this site are of lane 1. `index.all` is the whole carriageway."""
WHOLE: Final = "all"
PERIOD_OPTION: Final = "period_s"
LENGTH_OPTION: Final = "length_m"
DEFAULT_PERIOD_S: Final = 60.0

_MOST: Final = {
    "speed": RANGES["speed_kmh"][1],
    "flow": COUNT_MAX,
    "occupancy": 100.0,
    "travel": RANGES["duration_s"][1],
    "free": RANGES["free_flow_s"][1],
}
"""The greatest number by quantity; less than 0 says that there is none."""
_NEEDS_VEHICLES: Final = frozenset({"speed", "travel"})
"""What does not exist where nobody passed."""
_SITE: Final = "siteMeasurements"
_ID: Final = f"{_SITE}.measurementSiteReference.id"
_DEFAULT_TIME: Final = f"{_SITE}.measurementTimeDefault"
_TIME: Final = f"{_SITE}.measurementOrCalculationTime"
_MAX_INTERVAL_S: Final = RANGES["interval_s"][1]


def measured(
    publication: Publication, context: DecodeContext, at_us: int
) -> Iterator[Decoded | Rejection | int]:
    """Yield the events of each site, and how many values were of kinds that we have no event for."""
    for line, site in enumerate(publication.sites or (), 1):
        try:
            name = _name(site, _ID)
            default_us = _default_us(site.default, context, at_us)
            yield from _Site(line, name, site.raw, context).events(site.values, default_us)
        except Refused as refused:
            yield rejection(line, site.raw, refused)


def elaborated(
    publication: Publication, context: DecodeContext, at_us: int
) -> Iterator[Decoded | Rejection | int]:
    """Yield the events of each value; the predefined location it refers to is its source."""
    for line, site in enumerate(publication.values or (), 1):
        try:
            default_us = time_us(publication.head.time_default, context.zone, "timeDefault")
            name = _name(site, "pertinentLocation.predefinedLocationReference.id")
            yield from _Site(line, name, site.raw, context).events(
                site.values, at_us if default_us is None else default_us
            )
        except Refused as refused:
            yield rejection(line, site.raw, refused)


def _name(site: Site, field: str) -> str:
    if site.reference is None:
        detail = "only values of predefined locations have a source that can be registered"
        raise Refused("required", detail, field.removesuffix(".id"))
    return identity(site.reference, field)


def _default_us(default: Instant | None, context: DecodeContext, at_us: int) -> int:
    if default is not None:
        for text in (default.time_value, default.value):
            stated_us = time_us(text, context.zone, _DEFAULT_TIME)
            if stated_us is not None:
                return stated_us
    return at_us


class _Group:
    """The values of one lane and one moment."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[float, float]]] = {}

    def add(self, name: str, value: float, weight: float) -> None:
        self.found.setdefault(name, []).append((value, weight))

    def sum(self, name: str) -> float | None:
        values = self.found.get(name)
        if values is None:
            return None
        total = 0.0
        for value, _ in values:
            total += value
        return total

    def mean(self, name: str) -> float | None:
        """Return the mean by number of vehicles, where classes of vehicles were measured apart."""
        values = self.found.get(name)
        if not values:
            return None
        if len(values) == 1:
            return values[0][0]
        total = sum(weight for _, weight in values)
        if total <= 0:
            return sum(value for value, _ in values) / len(values)
        return sum(value * weight for value, weight in values) / total


class _Site:
    """Reads the values of one site."""

    def __init__(self, line: int, name: str, raw: bytes, context: DecodeContext) -> None:
        self._line = line
        self._name = name
        self._raw = raw
        self._context = context
        self._source = context.part(name)
        if len(self._source) > MAX_ID_CHARS:
            detail = f"as a source it has more than {MAX_ID_CHARS} characters"
            raise Refused("length", detail, _ID)
        self._digest = hashlib.blake2b(raw, digest_size=12).hexdigest()
        self._options = context.options_of(self._source)
        self._lanes = lanes_of(self._options) if self._options else {}
        self._period_s = _usual_period_s(self._options, context.options)
        self._groups: dict[tuple[int, str | None, float], _Group] = {}
        self._seen: dict[str, int] = {}
        self._faults: list[str] = []
        self._status: tuple[str, int] | None = None
        """The publisher's word for the traffic, and its moment."""
        self._others = 0

    def events(self, values: list[Value], default_us: int) -> list[Decoded | int]:
        """Return an event for each lane and moment with a usable value, else what is known of the site."""
        known = 0
        for value in values:
            if value.index is not None and self._lanes and value.index not in self._lanes:
                known += 1  # a class of vehicles of which the total stands beside it
                continue
            for basic in value.basics:
                known += self._value(value, basic, default_us)
        told = self._told(default_us) if known or self._faults else []
        if self._others:
            told.append(self._others)
        if not told:
            raise Refused("no_value", "no speed, flow, occupancy or travel time in it", _SITE)
        return told

    def _value(self, value: Value, basic: Basic, default_us: int) -> int:
        """Take the numbers of one value and return how many of them are of kinds that we know."""
        known = 0
        if basic.traffic_status is not None and not value.fault:
            known += self._take_status(basic, default_us)
        for name, measure, told in _measures(basic):
            known += 1
            quantity = number(told)
            if quantity is None:
                quantity = number(measure.value)
            reason = value.fault or _fault(measure, quantity, _MOST[name])
            if reason or quantity is None:
                self._faults.append(reason or "no_value")
                continue
            used = number(measure.number_of_input_values_used)
            if used != 0 or name not in _NEEDS_VEHICLES:
                group = self._group(name, basic, value.index, default_us)
                group.add(name, quantity, 1.0 if used is None else used)
        if not known and value.fault:
            self._faults.append(value.fault)
        self._others += not known
        return known

    def _take_status(self, basic: Basic, default_us: int) -> bool:
        """Keep the site's first word for the traffic, and tell whether there is one."""
        word = basic.traffic_status and label(word_of(basic.traffic_status.traffic_status_value))
        if word and self._status is None:
            self._status = word, self._when(basic, default_us)[0]
        return bool(word)

    def _group(self, name: str, basic: Basic, index: str | None, default_us: int) -> _Group:
        moment_us, period_s = self._when(basic, default_us)
        lane = None
        if self._lanes and index is not None:
            lane = self._lanes[index]
        elif name in self._seen:
            self._seen[name] += 1
            lane = str(self._seen[name])
        else:
            self._seen[name] = 1
        key = (moment_us, lane, period_s)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        return group

    def _when(self, basic: Basic, default_us: int) -> tuple[int, float]:
        """Return the end of the measurement and how long it took."""
        period_s = _positive(basic.measurement_or_calculation_period)
        own = basic.measurement_or_calculation_time
        if own is None:
            return default_us, period_s or self._period_s
        zone = self._context.zone
        start_us = end_us = None
        if own.period:
            start_us = time_us(own.period.start_of_period, zone, _TIME)
            end_us = time_us(own.period.end_of_period, zone, _TIME)
        if start_us is not None and end_us is not None and end_us > start_us:
            period_s = (end_us - start_us) / SECOND_US
        stated_us = time_us(own.time_value, zone, _TIME)
        stated_us = time_us(own.value, zone, _TIME) if stated_us is None else stated_us
        for moment_us in (stated_us, end_us, start_us):
            if moment_us is not None:
                return moment_us, period_s or self._period_s
        return default_us, period_s or self._period_s

    def _told(self, default_us: int) -> list[Decoded | int]:
        told: list[Decoded | int] = []
        extra: dict[str, str | int | float | bool | None] = {"site": self._name}
        status_us = default_us
        if self._status:
            extra["traffic_status"], status_us = self._status
        if self._faults:
            extra |= {"faulty_values": len(self._faults), "fault": label(self._faults[0])}
        for (moment_us, lane, period_s), group in self._groups.items():
            for data in self._data(group, lane, period_s, extra):
                told.append(self._decoded(len(told), moment_us, data))
        if not told:
            reason = label(self._faults[0]) if self._faults else None
            status = TrafficStatus(online=not self._faults, reason=reason, extra=extra)
            told.append(self._decoded(0, status_us, status))
        return told

    def _data(
        self, group: _Group, lane: str | None, period_s: float, extra: dict[str, Any]
    ) -> list[EventData]:
        found: list[EventData] = []
        speed, occupancy, flow = group.mean("speed"), group.mean("occupancy"), group.sum("flow")
        if speed is not None or occupancy is not None or flow is not None:
            period_s = min(period_s, _MAX_INTERVAL_S)
            found.append(
                TrafficFlow(
                    speed_kmh=speed,
                    occupancy=None if occupancy is None else occupancy / 100,
                    volume_veh=None if flow is None else round(flow * period_s / 3_600),
                    interval_s=period_s,
                    lane=lane,
                    extra=extra if flow is None else extra | {"flow_veh_h": flow},
                )
            )
        travel_s = group.mean("travel")
        if travel_s is not None:
            length_m = _positive(self._options.get(LENGTH_OPTION))
            free_s = group.mean("free")
            found.append(
                TrafficTravelTime(duration_s=travel_s, length_m=length_m, free_flow_s=free_s, extra=extra)
            )
        return found

    def _decoded(self, number_of: int, moment_us: int, data: EventData) -> Decoded:
        return Decoded(
            line=self._line,
            id=f"{self._digest}-{moment_us:x}-{number_of}",
            source=self._source,
            time_us=moment_us,
            data=data,
            raw=self._raw,
        )


def _usual_period_s(*options: Mapping[str, str]) -> float:
    """Return how long a measurement takes that does not say so."""
    for each in options:
        if each and (period_s := _positive(each.get(PERIOD_OPTION))):
            return period_s
    return DEFAULT_PERIOD_S


def lanes_of(options: Mapping[str, str]) -> dict[str, str | None]:
    """Return the lane of each index by a site's options, None for the whole carriageway."""
    return {
        index: None if name == INDEX_OPTION + WHOLE else name.removeprefix(INDEX_OPTION)
        for name, indexes in options.items()
        if name.startswith(INDEX_OPTION)
        for index in indexes.split()
    }


def _measures(basic: Basic) -> list[tuple[str, Measure, Number]]:
    """Return the quantities of a value by our names, each with the number of its kind."""
    found: list[tuple[str, Measure, Number]] = []
    if (speed := basic.average_vehicle_speed) is not None:
        found.append(("speed", speed, speed.speed))
    if (flow := basic.vehicle_flow) is not None:
        found.append(("flow", flow, flow.vehicle_flow_rate))
    if (occupancy := basic.occupancy) is not None:
        found.append(("occupancy", occupancy, occupancy.percentage))
    if (travel := basic.travel_time) is not None:
        found.append(("travel", travel, travel.duration))
    if (free := basic.free_flow_travel_time) is not None:
        found.append(("free", free, free.duration))
    return found


def _fault(measure: Measure, quantity: float | None, most: float) -> str | None:
    if measure.data_error is not None and is_true(measure.data_error):
        return words(measure.reason_for_data_error, ()) or "data_error"
    if quantity is not None and not 0 <= quantity <= most:
        return "no_value" if quantity < 0 else "out_of_range"
    return None


def _positive(told: Number) -> float | None:
    found = None if told is None else number(told)
    return found if found and 0 < found < 1e9 else None
