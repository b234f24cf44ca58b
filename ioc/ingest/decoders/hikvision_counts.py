"""Counts of Hikvision's cameras: people through a line, targets through a region, people in view."""

from collections.abc import Iterator
from typing import Final

import msgspec

from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.data import COUNT_MAX, NESTED, RANGES, Refused
from ioc.ingest.decoders.fields import Tree, count_of, map_of, maps_of, text_of
from ioc.ingest.decoders.moments import moment_us
from ioc.model.events import CameraCount

COUNTING: Final = frozenset(
    {
        "peoplecounting",
        "regiontargetnumbercounting",
        "framespeoplecounting",
        "personqueuedetection",
        "peoplenumchange",
    }
)
"""`eventType` in lower case."""

_CROSSED: Final = {
    "enter": "enter",
    "exit": "exit",
    "pass": "pass",
    "duplicatePeople": "duplicate",
    "vehicleEnter": "vehicle_enter",
    "vehicleExit": "vehicle_exit",
    "bicycleEnter": "bicycle_enter",
    "bicycleExit": "bicycle_exit",
}
_IN_VIEW: Final = (
    "peopleNum",
    "peopleNumber",
    "personNum",
    "humanNum",
    "peopleCountingNum",
    "framesPeopleCountingNum",
    "queueNum",
)
_REGIONS: Final = ("regionID", "RegionID", "regionsID")
_CLASSES: Final = (("humanCount", "human"), ("vehicleCount", "vehicle"), ("nonMotorCount", "non_motor"))


class Counts(msgspec.Struct, frozen=True):
    """A count, its time, and what tells it from another count of the same time."""

    key: str
    time_us: int
    data: CameraCount


IN_VIEW: Final = COUNTING - {"peoplecounting", "regiontargetnumbercounting"}
"""Those that may come without a number: that people wait, or are more or fewer, is an alarm then."""


def counts_of(alert: Tree, kind: str, when_us: int, context: DecodeContext) -> list[Counts]:
    """Return what a counting alert tells, nothing where one of `IN_VIEW` holds no number.

    Over an interval, `people` and `vehicles` are those that crossed in either direction. A running total is
    neither an interval's count nor people in view: it stands in `counts` alone.

    Raises:
        Refused: a number or time is wrong, or none is there.
    """
    if kind == "regiontargetnumbercounting" or "CountingList" in alert:
        return [_by_class(alert, when_us)]
    block = map_of(alert, "peopleCounting") or map_of(alert, "PeopleCounting")
    if not block:
        found = list(_in_view(alert, when_us))
        if not found and kind not in IN_VIEW:
            raise Refused("required", "no count is in it", "peopleCounting")
        return found
    counts = _crossed(block, "peopleCounting.", "") | _crossed(
        map_of(alert, "childCounting"), "childCounting.", "child_"
    )
    method = text_of(block, "statisticalMethods", "peopleCounting.") or "realTime"
    zone = text_of(block, "regionsID", "peopleCounting.")
    span = map_of(block, "TimeRange")
    if method.lower() != "timerange" or not span:
        return [_counts(zone, method, when_us, CameraCount(counts=counts))]
    begin_us, end_us = (
        moment_us(_required(span, name), context.zone, f"peopleCounting.TimeRange.{name}")
        for name in ("startTime", "endTime")
    )
    longest_s = RANGES["interval_s"][1]
    if not 0 <= end_us - begin_us <= longest_s * 1e6:
        detail = f"from startTime to endTime must be 0…{longest_s:g} seconds"
        raise Refused("in_range", detail, "peopleCounting.TimeRange")
    data = CameraCount(
        people=_both(counts, "enter", "exit"),
        vehicles=_both(counts, "vehicle_enter", "vehicle_exit"),
        interval_s=(end_us - begin_us) / 1e6,
        counts=counts,
    )
    return [_counts(zone, method, end_us, data)]


def _by_class(alert: Tree, when_us: int) -> Counts:
    counts: dict[str, int] = {}
    for each in maps_of(map_of(alert, "CountingList").get("DataList", alert.get("CountingList"))):
        way = text_of(each, "statisticalDirection", "CountingList.DataList.") or "bothway"
        if way not in ("forward", "back", "bothway"):
            raise Refused("known_value", "expected forward, back or bothway", "statisticalDirection")
        for wire, name in _CLASSES:
            count = count_of(each, wire, "CountingList.DataList.")
            if count is not None:
                counts[f"{name}_{way}"] = count
    if not counts:
        raise Refused("required", "this field is required", "CountingList.DataList")
    method = text_of(alert, "statisticalMethod") or "realTime"
    return _counts(text_of(alert, "ruleID"), method, when_us, CameraCount(counts=counts))


def _in_view(alert: Tree, when_us: int) -> Iterator[Counts]:
    """Yield the people in view of each region, wherever in the alert they stand."""
    below = [alert]
    for tree in below:
        if not tree.keys().isdisjoint(_IN_VIEW):
            yield from _in_region(tree, alert, when_us)
        for value in tree.values():
            if isinstance(value, NESTED):
                below += maps_of(value)


def _in_region(tree: Tree, alert: Tree, when_us: int) -> Iterator[Counts]:
    people = next((count for name in _IN_VIEW if (count := count_of(tree, name)) is not None), None)
    if people is not None:
        zone = next(
            (text for name in _REGIONS if (text := text_of(tree, name) or text_of(alert, name))), None
        )
        yield _counts(zone, "inView", when_us, CameraCount(people=people))


def _crossed(block: Tree, under: str, prefix: str) -> dict[str, int]:
    found = {prefix + name: count_of(block, wire, under) for wire, name in _CROSSED.items()}
    return {name: count for name, count in found.items() if count is not None}


def _both(counts: dict[str, int], one: str, other: str) -> int:
    total = counts.get(one, 0) + counts.get(other, 0)
    if total > COUNT_MAX:
        raise Refused("in_range", f"{total} is not within 0…{COUNT_MAX:g}", f"peopleCounting.{one}")
    return total


def _counts(zone: str | None, method: str, time_us: int, data: CameraCount) -> Counts:
    extra = {"method": method} if zone is None else {"method": method, "zone": zone}
    return Counts(f"{method} {zone}", time_us, msgspec.structs.replace(data, extra=extra))


def _required(tree: Tree, name: str) -> str:
    text = text_of(tree, name, "peopleCounting.TimeRange.")
    if text is None:
        raise Refused("required", "this field is required", f"peopleCounting.TimeRange.{name}")
    return text
