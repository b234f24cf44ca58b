"""The page on figures for people: drawn from the definitions that compute them."""

from collections.abc import Iterator
from typing import Final

from ioc.incidents.brake_policy import Brake, BrakePolicy
from ioc.incidents.figures import CELL_RATIO, FIGURES, MAX_ERROR, Better, Figure, Unit

_HEAD: Final = f"""\
# Figures and early warning

Written by `python -m ioc.app.pages.figures` from the definitions that the service computes by.

Every figure is counted from what is stored; nobody reports one by hand. `GET /api/v1/kpis`, `ioc kpis`
and the page `/leader` show the same, for the city, by ward and by category, and `GET
/api/v1/kpis/FIGURE/incidents` the incidents behind it. Beside its value each has

- **n**, the number of cases it rests on. No cases, no value: that is not zero.
- **coverage**, the share of what it should rest on that it rests on.
- **age**, how old the newest data behind it is: since the rules' workers last spoke, or since devices
  were last looked for.
- **trend** against the period before, as far as whole hours (today) or whole days (all others) have
  passed.

Periods: `today`, `7d` and `30d` (today included), `quarter` (of the calendar), `custom` with the days
`from` and `to`; days begin at midnight of UTC+7. Figures of *now* do not depend on the period; their
past is sampled once an hour. What is merged counts as its head. Reopening an incident takes back what
it had counted for.

Medians and 90th percentiles come from cells of durations, each {CELL_RATIO} times the one before, and
are within {MAX_ERROR:.1%}. All counts are exact at every moment, also where incidents are changed weeks
later.

| figure | Vietnamese | unit | good | formula | coverage | |
| --- | --- | --- | --- | --- | --- | --- |
"""
_BRAKES: Final = """\

## Brakes

The policy `brakes` says when leaders are warned (`ioc policies show brakes`, `PUT
/api/v1/policies/brakes`, versions and all). A brake watches one figure of the city or of each ward, and
warns when it goes beyond `above` or `below`, until it is back at `clear`. With `forecast` it warns as
long beforehand: for overdue incidents by the queue (what becomes due, at the pace of the last 24
hours), for other figures by the line through the last hours. A warning is `forecast`, `crossed` or
`cleared`; each step is told to the brake's role in the console, and to receivers of the operation
`warning` by mail or as CloudEvent `ioc.warning.changed`. `GET /api/v1/warnings` and `ioc warnings` list
them. A brake with fewer than `min_n` cases or less than `min_coverage` is *blind*: it neither warns nor
clears, and says so.

Shipped:

| brake | watches | of | warns | clears | looks ahead | severity | tells |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
_UNITS: Final = {Unit.SHARE: "%", Unit.COUNT: "number", Unit.SECONDS: "seconds", Unit.PER_HOUR: "per hour"}
_GOOD: Final = {Better.UP: "high", Better.DOWN: "low", Better.NEITHER: ""}


def render() -> str:
    """Return the page."""
    return (
        _HEAD
        + "".join(_rows(map(_figure, FIGURES.values())))
        + _BRAKES
        + "".join(_rows(map(_brake, BrakePolicy().brakes)))
    )


def _rows(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    return (f"| {' | '.join(row)} |\n" for row in rows)


def _figure(figure: Figure) -> tuple[str, ...]:
    marks = [text for text, holds in (("now", figure.now), ("city only", figure.city_only)) if holds]
    return (
        f"`{figure.id}`", figure.title.vi, _UNITS[figure.unit], _GOOD[figure.better], figure.words.en,
        figure.covers.en, ", ".join(marks),
    )  # fmt: skip


def _brake(brake: Brake) -> tuple[str, ...]:
    scope = "each ward" if brake.scope == "ward" else "the city"
    of = f"{scope}, {brake.category}" if brake.category else scope
    sign = "above" if brake.above is not None else "below"
    watched = f"`{brake.figure}`" if FIGURES[brake.figure].now else f"`{brake.figure}`, {brake.period}"
    return (
        f"`{brake.name}`", watched, of, f"{sign} {brake.threshold:g}", f"{brake.clear:g}",
        brake.forecast or "", brake.severity.value, brake.to,
    )  # fmt: skip
