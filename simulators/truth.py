"""Ground truth: the incidents that a scenario must raise under the shipped rules, and when.

The thresholds here restate the shipped rules on purpose: a rule edited by mistake then disagrees with the
truth, and the acceptance test says so.
"""

from collections.abc import Iterable, Sequence

import msgspec

from simulators.scenario import Script
from simulators.steps import Happening, Kind
from simulators.times import SECOND_US


class Expected(msgspec.Struct, frozen=True):
    """One incident to expect. Times are seconds from the scenario's start.

    The incident is raised within `tolerance_s` of `from_s`, clears within `clear_tolerance_s` of `until_s`.
    `source` is the device it names; `ward` alone where a rule speaks of a ward.
    """

    rule: str
    kind: str
    source: str | None
    ward: str
    from_s: float
    until_s: float
    tolerance_s: float
    clear_tolerance_s: float
    began_s: float
    """When its cause began: from here the time to detect it counts."""


class _Shape(msgspec.Struct, frozen=True):
    """How a rule follows the world: seconds until it fires, seconds it outlasts the cause.

    `every_s` is how often a camera repeats the alarm; one that misses some is late by as much.
    """

    rule: str
    fires_after_s: float
    clears_after_s: float
    tolerance_s: float
    clear_tolerance_s: float
    every_s: float = 0.0


_SHAPES = {
    # 3 samples of 10 s (the first up to 10 s late), then true for 20 s; hold 30 s after it is fluid again.
    Kind.CONGESTION: _Shape("congestion", 47.0, 35.0, 15.0, 25.0),
    # The camera repeats its alarm every 5 s while it lasts; hold 60 s after the last.
    Kind.WRONG_WAY: _Shape("wrong-way", 0.5, 57.5, 5.0, 20.0, 5.0),
    # 2 counts of 15 s, then true for 20 s; hold 30 s after the first count without.
    Kind.STOPPED_VEHICLE: _Shape("stopped-vehicle", 43.0, 37.0, 18.0, 25.0),
    # The mean of a minute crosses 60 after one to three counts, and falls as slowly; hold 60 s.
    Kind.CROWD: _Shape("crowd", 25.0, 95.0, 25.0, 40.0),
    # 90 s after the last word, which came up to 10 s before the silence.
    Kind.CAMERA_SILENT: _Shape("camera-silent", 86.0, 5.0, 12.0, 20.0),
    # Two within 15 min; from the last but one on that holds for 15 min more, and 30 min of hold.
    Kind.FLOOD_REPORT: _Shape("flood-report", 0.5, 2700.0, 5.0, 90.0),
    # Repeated every 10 s; hold 5 min after the last.
    Kind.FIRE_SMOKE: _Shape("fire-smoke", 0.5, 295.0, 5.0, 30.0, 10.0),
    # Repeated every 30 s, and it takes two in 90 s; hold 5 min after the last but one has left the window.
    Kind.FLOOD: _Shape("flood-alarm", 30.5, 345.0, 5.0, 45.0, 30.0),
    # 120 s after its last word, which came up to 10 s before the silence; the clock turns in tenths of that.
    Kind.DETECTOR_SILENT: _Shape("detector-silent", 121.0, 5.0, 15.0, 20.0),
}
_MISSED_IN_A_ROW = 4
"""More alarms than these are hardly ever missed one after the other."""
JAM_KMH = 13.0
"""Traffic this slow or slower"""
JAM_OCCUPANCY = 0.42
"""and this dense or denser is a jam to everybody."""
RULES = tuple(shape.rule for shape in _SHAPES.values())


def fires(happening: Happening) -> bool:
    """Return whether the shipped rules see an incident in this happening."""
    step = happening.step
    duration_s = step.duration_s
    match step.kind:
        case Kind.CONGESTION:
            return step.speed_kmh <= JAM_KMH and step.occupancy >= JAM_OCCUPANCY and duration_s >= 65
        case Kind.WRONG_WAY:
            return step.confidence >= 0.6
        case Kind.FIRE_SMOKE:
            return step.confidence >= 0.5
        case Kind.STOPPED_VEHICLE:
            return duration_s >= 65
        case Kind.CROWD:
            return step.people >= 100 and duration_s >= 60
        case Kind.CAMERA_SILENT:
            return duration_s >= 100
        case Kind.DETECTOR_SILENT:
            return duration_s >= 140
        case Kind.FLOOD:
            return step.confidence >= 0.6 and duration_s >= 35
        case Kind.FLOOD_REPORT:
            return step.reports >= 2
    return False


def truth(script: Script, wards: dict[str, str], start_us: int, duration_s: float) -> list[Expected]:
    """Return the incidents to expect from `duration_s` seconds of `script`, in order of time.

    Args:
        script: the bound scenario.
        wards: ward code of every device.
        start_us: the scenario's start.
        duration_s: how much of it to look at; incidents that may be raised later are left out.
    """
    happenings = script.between(start_us, start_us + round(duration_s * SECOND_US))
    return expect(happenings, wards, start_us, duration_s)


def expect(
    happenings: Iterable[Happening], wards: dict[str, str], start_us: int, duration_s: float
) -> list[Expected]:
    """Return the incidents to expect from what happens; see `truth`."""
    found = [_expected(happening, wards, start_us) for happening in happenings if fires(happening)]
    return [item for item in merge(found) if item.from_s + item.tolerance_s <= duration_s]


def merge(items: Iterable[Expected]) -> list[Expected]:
    """Join expectations of one rule and place whose spans touch: they are one episode."""
    joined: dict[tuple[str, str], list[Expected]] = {}
    for item in sorted(items, key=lambda item: item.from_s):
        spans = joined.setdefault((item.rule, item.source or item.ward), [])
        if spans and item.from_s <= spans[-1].until_s + spans[-1].clear_tolerance_s:
            spans[-1] = msgspec.structs.replace(spans[-1], until_s=max(spans[-1].until_s, item.until_s))
        else:
            spans.append(item)
    flat = [item for spans in joined.values() for item in spans]
    return sorted(flat, key=lambda item: (item.from_s, item.rule, item.source or item.ward))


def live_at(items: Sequence[Expected], at_s: float) -> int:
    """Return how many expected incidents are active at a moment."""
    return sum(item.from_s <= at_s < item.until_s for item in items)


def _expected(happening: Happening, wards: dict[str, str], start_us: int) -> Expected:
    shape = _SHAPES[happening.step.kind]
    step, by_ward = happening.step, happening.step.kind is Kind.FLOOD_REPORT
    begin_s, end_s = ((moment - start_us) / SECOND_US for moment in (happening.start_us, happening.end_us))
    began_s, missed_s = begin_s, _MISSED_IN_A_ROW * shape.every_s * (step.missed > 0)
    if by_ward:
        gap_s = step.duration_s / step.reports
        begin_s, end_s = begin_s + gap_s, begin_s + gap_s * (step.reports - 2)
    return Expected(
        rule=shape.rule,
        kind=step.kind.value,
        source=None if by_ward else happening.target,
        ward=happening.target if by_ward else wards[happening.target],
        from_s=round(begin_s + shape.fires_after_s, 3),
        until_s=round(end_s + shape.clears_after_s, 3),
        tolerance_s=shape.tolerance_s + missed_s,
        clear_tolerance_s=shape.clear_tolerance_s + missed_s,
        began_s=round(began_s, 3),
    )
