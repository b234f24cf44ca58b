"""From counts to the figures of one scope: values, trends and points in time. Pure."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ioc.incidents.figures import (
    FIGURES,
    LATE_KNOWN,
    Devices,
    Figure,
    Inputs,
    Source,
    Verdict,
    verdict,
)
from ioc.incidents.periods import Grain, Segment, Window, floor

Counts = Mapping[Segment, Mapping[int, int]]
"""Counts by segment and part."""


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over the compared part of its period, and over the same part of the period before."""

    now: float
    before: float
    verdict: Verdict


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one scope. `value` null: there is nothing to compute it from, which is not zero.

    `n` is the number of cases it rests on, `coverage` the share of what it should rest on, `age_s` the age of
    the newest data behind it.
    """

    figure: str
    value: float | None
    n: int
    coverage: float | None
    age_s: float | None
    trend: Trend | None = None


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures of one scope are made from."""

    counts: Counts
    overdue: int = 0
    devices: Mapping[Source, Devices] = {}
    duty: Mapping[int, int] | None = None
    """Persons at work by the start of the hour."""
    sampled: Mapping[str, float] = {}
    """What figures of now were when the period before stood where this one stands."""
    ages_s: Mapping[Source, float] = {}
    now_us: int


def added(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return the sum of counts."""
    total: dict[int, int] = {}
    for each in parts:
        for part, n in each.items():
            total[part] = total.get(part, 0) + n
    return total


def begun(running: Mapping[int, int]) -> dict[int, int]:
    """Return what of the running hour's counts holds already."""
    return {part: n for part, n in running.items() if part not in LATE_KNOWN}


def readings(
    material: Material, window: Window, figures: Sequence[Figure] = tuple(FIGURES.values())
) -> list[Reading]:
    """Return `figures` of one scope."""
    whole, compared, before = _inputs(material, window)
    return [_reading(figure, material, whole, compared, before) for figure in figures]


def _inputs(material: Material, window: Window) -> tuple[Inputs, Inputs, Inputs]:
    """Return what counts in the whole period, in its compared part, and in what that is compared with."""
    counts = {segment: material.counts.get(segment, {}) for segment in Segment}
    running = begun(counts[Segment.RUNNING])
    whole = added((counts[Segment.COMPARED], counts[Segment.REST], running))
    start_us, compared_us, shift_us = window.start_us, window.compared_us, window.shift_us

    def made(parts: Mapping[int, int], from_us: int, to_us: int) -> Inputs:
        return Inputs(
            parts=parts,
            stock=counts[Segment.STOCK],
            overdue=material.overdue,
            devices=material.devices,
            duty_hours=None if material.duty is None else hours_between(material.duty, from_us, to_us),
            now_us=material.now_us,
        )

    return (
        made(whole, start_us, window.end_us),
        made(counts[Segment.COMPARED], start_us, compared_us),
        made(counts[Segment.BEFORE], start_us - shift_us, compared_us - shift_us),
    )


def hours_between(duty: Mapping[int, int], from_us: int, to_us: int) -> int:
    """Return the hours of persons at work that begin in [`from_us`, `to_us`)."""
    return sum(n for hour_us, n in duty.items() if from_us <= hour_us < to_us)


def _reading(figure: Figure, material: Material, whole: Inputs, compared: Inputs, before: Inputs) -> Reading:
    found = figure.compute(whole)
    if Segment.BEFORE not in material.counts and not material.sampled:
        now, then = None, None
    elif figure.now:
        now, then = found.value, material.sampled.get(figure.id)
    else:
        now, then = figure.compute(compared).value, figure.compute(before).value
    return Reading(
        figure=figure.id,
        value=found.value,
        n=found.n,
        coverage=found.coverage,
        age_s=material.ages_s.get(figure.source),
        trend=None
        if now is None or then is None
        else Trend(now=now, before=then, verdict=verdict(figure.better, then, now)),
    )


class FigurePoint(msgspec.Struct, frozen=True):
    """A figure in one hour or day. `complete` is false for the one that has not ended."""

    time_us: int
    value: float | None
    n: int
    complete: bool = True


def points(
    figure: Figure,
    buckets: Mapping[int, Mapping[int, int]],
    duty: Mapping[int, int] | None,
    window: Window,
    grain: Grain,
) -> list[FigurePoint]:
    """Return a figure bucket by bucket, those without cases included: a gap is not shown as a line."""
    width_us = {Grain.HOUR: 3_600_000_000, Grain.DAY: 86_400_000_000}[grain]
    found = []
    for start_us in range(floor(window.start_us, grain), window.end_us, width_us):
        end_us = start_us + width_us
        hours = None if duty is None else hours_between(duty, start_us, end_us)
        measured = figure.compute(Inputs(parts=buckets.get(start_us, {}), duty_hours=hours))
        found.append(FigurePoint(start_us, measured.value, measured.n, end_us <= window.end_us))
    return found
