"""DATEX II MeasuredDataPublication and ElaboratedDataPublication: flow, speed, occupancy, travel time.

A site's values are told apart by an index whose meaning, lane and vehicle class, stands in the table of
sites. `ioc devices import-sites` keeps of it what is needed in the options of each site's device,
which the decoder asks for by the site's id. Without that, values of one kind are numbered in their order.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element

from ioc.ingest.decoders.base import DecodeContext, Decoded, Rejection
from ioc.ingest.decoders.data import COUNT_MAX, RANGES, Refused
from ioc.ingest.decoders.datex2_tree import (
    Tree,
    attribute,
    identity,
    is_true,
    label,
    number,
    own_time,
    own_value,
    rejection,
    time_at,
    value_text,
)
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.ingest.decoders.xml import children, found_at, text_of
from ioc.model.events import EventData, TrafficFlow, TrafficStatus, TrafficTravelTime
from ioc.model.times import SECOND_US

INDEX_OPTION: Final = "index."
"""`index.lane1 = "1 2"`: values 1 and 2 of this site are of lane 1. `index.all` is the whole carriageway."""
WHOLE: Final = "all"
PERIOD_OPTION: Final = "period_s"
LENGTH_OPTION: Final = "length_m"
DEFAULT_PERIOD_S: Final = 60.0

_VALUES: Final = (
    ("speed", "averageVehicleSpeed", "speed", RANGES["speed_kmh"][1]),
    ("flow", "vehicleFlow", "vehicleFlowRate", COUNT_MAX),
    ("occupancy", "occupancy", "percentage", 100.0),
    ("travel", "travelTime", "duration", RANGES["duration_s"][1]),
    ("free", "freeFlowTravelTime", "duration", RANGES["free_flow_s"][1]),
)
"""Name, element of the value, element of its number, greatest number; less than 0 says that there is none."""
_NEEDS_VEHICLES: Final = frozenset({"speed", "travel"})
"""What does not exist where nobody passed."""
_SITE: Final = "siteMeasurements"


def measured(
    publication: Element, tree: Tree, context: DecodeContext, at_us: int
) -> Iterator[Decoded | Rejection | int]:
    """Yield the events of each site, and how many values were of kinds that we have no event for."""
    for line, site in enumerate(children(publication, "siteMeasurements"), 1):
        raw = tree.raw(site)
        try:
            reference = site.find("measurementSiteReference")
            name = identity(site if reference is None else reference, f"{_SITE}.measurementSiteReference.id")
            default_us = _default_us(site, context, at_us)
            values = (value for value in site if value.tag in ("measuredValue", "physicalQuantity"))
            yield from _Site(line, name, raw, context).events(values, default_us)
        except Refused as refused:
            yield rejection(line, raw, refused)


def elaborated(
    publication: Element, tree: Tree, context: DecodeContext, at_us: int
) -> Iterator[Decoded | Rejection | int]:
    """Yield the events of each value; the predefined location it refers to is its source."""
    records = (value for value in publication if value.tag in ("elaboratedData", "physicalQuantity"))
    for line, value in enumerate(records, 1):
        raw = tree.raw(value)
        try:
            default_us = time_at(publication, "timeDefault", context.zone, "timeDefault")
            name = _predefined(value)
            yield from _Site(line, name, raw, context).events(
                [value], at_us if default_us is None else default_us
            )
        except Refused as refused:
            yield rejection(line, raw, refused)


def _predefined(value: Element) -> str:
    for location in value.iter("pertinentLocation"):
        for found in location.iter():
            if found.tag.startswith("predefined") and found.tag.endswith("Reference"):
                return identity(found, "pertinentLocation.predefinedLocationReference.id")
    detail = "only values of predefined locations have a source that can be registered"
    raise Refused("required", detail, "pertinentLocation.predefinedLocationReference")


def _default_us(site: Element, context: DecodeContext, at_us: int) -> int:
    field = f"{_SITE}.measurementTimeDefault"
    for path in (("measurementTimeDefault", "timeValue"), ("measurementTimeDefault",)):
        stated_us = own_time(found_at(site, *path), context.zone, field)
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
        return None if values is None else sum(value for value, _ in values)

    def mean(self, name: str) -> float | None:
        """Return the mean by number of vehicles, where classes of vehicles were measured apart."""
        values = self.found.get(name)
        if not values:
            return None
        total = sum(weight for _, weight in values)
        if len(values) == 1 or total <= 0:
            return values[0][0] if len(values) == 1 else sum(v for v, _ in values) / len(values)
        return sum(value * weight for value, weight in values) / total


class _Site:
    """Reads the values of one site."""

    def __init__(self, line: int, name: str, raw: bytes, context: DecodeContext) -> None:
        self._line, self._name, self._raw, self._context = line, name, raw, context
        self._source = context.part(name)
        if len(self._source) > MAX_ID_CHARS:
            detail = f"as a source it has more than {MAX_ID_CHARS} characters"
            raise Refused("length", detail, f"{_SITE}.measurementSiteReference.id")
        self._digest = hashlib.blake2b(raw, digest_size=12).hexdigest()
        self._options = context.options_of(self._source)
        self._lanes = lanes_of(self._options)
        self._period_s = _positive(self._options.get(PERIOD_OPTION)) or _positive(
            context.options.get(PERIOD_OPTION)
        )
        self._groups: dict[tuple[int, str | None, float], _Group] = {}
        self._seen: Counter[str] = Counter()
        self._faults: list[str] = []
        self._others = 0

    def events(self, values: Any, default_us: int) -> Iterator[Decoded | int]:
        """Yield an event for each lane and moment that has a usable value, else what is known of the site."""
        known = 0
        for value in values:
            index = value.get("index")
            if index is not None and self._lanes and index not in self._lanes:
                known += 1  # a class of vehicles of which the total stands beside it
                continue
            for basic in _basics(value):
                known += self._value(value, basic, index, default_us)
        if self._others:
            yield self._others
        if not known and not self._faults:
            if self._others:
                return
            raise Refused("no_value", "no speed, flow, occupancy or travel time in it", _SITE)
        yield from self._told(default_us)

    def _value(self, value: Element, basic: Element, index: str | None, default_us: int) -> int:
        """Take the numbers of one value and return how many of them are of kinds that we know."""
        fault = value_text(next(value.iter("physicalQuantityFault"), None), "physicalQuantityFaultType")
        if not fault:
            equipment = next(value.iter("measurementEquipmentFault"), ())
            fault = own_value(next(iter(equipment), None))
        known = 0
        for name, outer, inner, most in _VALUES:
            found = basic.find(outer)
            if found is None:
                continue
            known += 1
            quantity = number(found.find(inner))
            quantity = number(found) if quantity is None else quantity
            reason = fault or _fault(found, quantity, most)
            if reason or quantity is None:
                self._faults.append(reason or "no_value")
                continue
            used = number_attribute(found, "numberOfInputValuesUsed")
            if name in _NEEDS_VEHICLES and used == 0:
                continue
            self._group(name, basic, index, default_us).add(name, quantity, 1.0 if used is None else used)
        if not known and fault:
            self._faults.append(fault)
        self._others += not known
        return known

    def _group(self, name: str, basic: Element, index: str | None, default_us: int) -> _Group:
        moment_us, period_s = self._when(basic, default_us)
        if self._lanes and index is not None:
            lane = self._lanes[index]
        else:
            self._seen[name] += 1
            lane = str(self._seen[name]) if self._seen[name] > 1 else None
        return self._groups.setdefault((moment_us, lane, period_s), _Group())

    def _when(self, basic: Element, default_us: int) -> tuple[int, float]:
        """Return the end of the measurement and how long it took."""
        zone, field = self._context.zone, f"{_SITE}.measurementOrCalculationTime"
        period_s = _positive(text_of(basic, "measurementOrCalculationPeriod"))
        own = basic.find("measurementOrCalculationTime")
        if own is None:
            return default_us, period_s or self._period_s or DEFAULT_PERIOD_S
        start_us = own_time(found_at(own, "period", "startOfPeriod"), zone, field)
        end_us = own_time(found_at(own, "period", "endOfPeriod"), zone, field)
        if start_us is not None and end_us is not None and end_us > start_us:
            period_s = (end_us - start_us) / SECOND_US
        stated_us = time_at(own, "timeValue", zone, field)
        stated_us = own_time(own, zone, field) if stated_us is None else stated_us
        moment_us = next((m for m in (stated_us, end_us, start_us) if m is not None), default_us)
        return moment_us, period_s or self._period_s or DEFAULT_PERIOD_S

    def _told(self, default_us: int) -> Iterator[Decoded]:
        number_of = 0
        extra: dict[str, str | int | float | bool | None] = {"site": self._name}
        if self._faults:
            extra |= {"faulty_values": len(self._faults), "fault": label(self._faults[0])}
        for (moment_us, lane, period_s), group in self._groups.items():
            for data in self._data(group, lane, period_s, extra):
                yield self._decoded(number_of, moment_us, data)
                number_of += 1
        if not number_of:
            reason = label(self._faults[0]) if self._faults else None
            status = TrafficStatus(online=not self._faults, reason=reason, extra=extra)
            yield self._decoded(number_of, default_us, status)

    def _data(
        self, group: _Group, lane: str | None, period_s: float, extra: dict[str, Any]
    ) -> Iterator[EventData]:
        speed, occupancy, flow = group.mean("speed"), group.mean("occupancy"), group.sum("flow")
        if speed is not None or occupancy is not None or flow is not None:
            period_s = min(period_s, RANGES["interval_s"][1])
            yield TrafficFlow(
                speed_kmh=speed,
                occupancy=None if occupancy is None else occupancy / 100,
                volume_veh=None if flow is None else round(flow * period_s / 3_600),
                interval_s=period_s,
                lane=lane,
                extra=extra if flow is None else extra | {"flow_veh_h": flow},
            )
        travel_s = group.mean("travel")
        if travel_s is not None:
            length_m = _positive(self._options.get(LENGTH_OPTION))
            free_s = group.mean("free")
            yield TrafficTravelTime(duration_s=travel_s, length_m=length_m, free_flow_s=free_s, extra=extra)

    def _decoded(self, number_of: int, moment_us: int, data: EventData) -> Decoded:
        return Decoded(
            line=self._line,
            id=f"{self._digest}-{moment_us:x}-{number_of}",
            source=self._source,
            time_us=moment_us,
            data=data,
            raw=self._raw,
        )


def lanes_of(options: Mapping[str, str]) -> dict[str, str | None]:
    """Return the lane of each index by a site's options, None for the whole carriageway."""
    return {
        index: None if name == INDEX_OPTION + WHOLE else name.removeprefix(INDEX_OPTION)
        for name, indexes in options.items()
        if name.startswith(INDEX_OPTION)
        for index in indexes.split()
    }


def _basics(value: Element) -> Iterator[Element]:
    for name in ("basicData", "basicDataValue"):
        yield from value.iter(name)


def _fault(found: Element, quantity: float | None, most: float) -> str | None:
    if is_true(found, "dataError") or found.get("dataError") in ("true", "1"):
        return own_value(found_at(found, "reasonForDataError", "values", "value")) or "data_error"
    if quantity is not None and not 0 <= quantity <= most:
        return "no_value" if quantity < 0 else "out_of_range"
    return None


def number_attribute(found: Element, name: str) -> float | None:
    """Return a number that XML writes as an attribute and JSON as a member."""
    text = attribute(found, name)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _positive(text: str | None) -> float | None:
    try:
        value = float(text) if text else 0.0
    except ValueError:
        return None
    return value if 0 < value < 1e9 else None
