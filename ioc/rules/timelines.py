"""Draws what a rule makes of a few events, by running it: the pictures of the rule reference."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ioc.model.events import Event
from ioc.model.times import SECOND_US
from ioc.rules.compile import Program
from ioc.rules.relative import show_us
from ioc.rules.rule import Rule
from ioc.rules.scenario import START_US
from ioc.rules.testing import Happened, RuleTest, parse_tests, program_for, run_test

HEAD = """rule: example
title: {vi: Ví dụ, en: Example}
severity: medium
"""
_LABEL = 10
"""Columns before the picture."""
_RULER = 10
"""Columns between two marks of the ruler."""


@dataclass(frozen=True, slots=True)
class Example:
    """A rule and a few events; `shows` are the keys and functions it explains."""

    shows: tuple[str, ...]
    title: str
    body: str
    """The rule, without name, title and severity."""
    events: str
    """`input` of a rule test, one per line."""
    until_s: int
    step_s: int = 1
    """Seconds per column."""
    value: str | None = None
    """Field of the data to write into the picture."""
    note: str = ""
    listen: str = ""
    """`listen` of a rule test."""
    areas: str = ""
    """`areas` of a rule test."""
    severity: bool = field(default=False)
    """Whether `body` gives the severity."""


def draw(example: Example) -> str:
    """Return the picture and, below it, what the engine said."""
    test, program = _played(example)
    happened = run_test(test, program).happened
    rule = program.rules[0].rule
    width = example.until_s // example.step_s + 1
    rows = _ruler(example, width)
    events = sorted((arrival.event for arrival in test.arrivals), key=lambda event: event.received_us)
    if events:
        rows += _events(example, rule, events, width)
    for key in dict.fromkeys(item.key for item in happened):
        rows.append(_incidents(example, [item for item in happened if item.key == key], width))
    told = [f"→ {item}".replace(" example key", "") for item in happened] or ["→ nothing is raised"]
    return "\n".join([*(row.rstrip() for row in rows), "", *told])


def _played(example: Example) -> tuple[RuleTest, Program]:
    lines = "\n".join(f"    - {line}" for line in example.events.strip().splitlines())
    text = f"tests:\n- name: example\n  until: {example.until_s}s\n  expect: []\n"
    text += f"  input:\n{lines}\n" if lines else ""
    text += f"  listen: {example.listen}\n" if example.listen else ""
    text += f"areas: {example.areas}\n" if example.areas else ""
    found, errors = parse_tests(example.title, text)
    assert not errors, errors
    areas = found.areas if isinstance(found.areas, tuple) else None
    head = HEAD.replace("severity: medium\n", "") if example.severity else HEAD
    return found.tests[0], program_for(found, {example.title: head + example.body}, areas)


def _ruler(example: Example, width: int) -> list[str]:
    marks = range(0, width, _RULER)
    numbers = "".join(show_us(mark * example.step_s * SECOND_US).ljust(_RULER) for mark in marks)
    return [" " * _LABEL + numbers, " " * _LABEL + "".join("|".ljust(_RULER, "·") for _ in marks)[:width]]


def _events(example: Example, rule: Rule, events: Sequence[Event], width: int) -> list[str]:
    late = any(event.received_us != event.time_us for event in events)
    signs = [chr(ord("a") + number) if late else _sign(rule, event) for number, event in enumerate(events)]
    times = [_column(example, event.time_us - START_US) for event in events]
    rows = [_row("events", zip(times, signs, strict=True), width)]
    if late:
        arrivals = [_column(example, event.received_us - START_US) for event in events]
        rows.append(_row("arrive", zip(arrivals, signs, strict=True), width))
    if example.value is not None:
        values = [getattr(event.data, example.value) for event in events]
        shown = [
            "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
            for value in values
        ]
        rows.append(_row(example.value, zip(times, shown, strict=True), width))
    return rows


def _sign(rule: Rule, event: Event) -> str:
    kind = event.data.__struct_config__.tag
    for number, step in enumerate(rule.sequence.steps if rule.sequence else (), 1):
        if kind in step.types and step.where(event):
            return str(number)
    if kind not in rule.types:
        return "r" if kind in rule.listens else "o"
    if rule.sequence is not None:
        return "o"
    if rule.clear_when is not None and rule.clear_when(event):
        return "c"
    return "x" if rule.where is None or rule.where(event) else "o"


def _incidents(example: Example, happened: Sequence[Happened], width: int) -> str:
    """Return one key's row: `:` pending, `R` raised, `=` open, `U` updated, `C` cleared."""
    line = [" "] * width
    open_since: int | None = None
    for item in happened:
        at = _column(example, item.at_us)
        if item.what == "raised":
            for column in range(_column(example, item.opened_us or 0), at):
                line[column] = ":"
            line[at], open_since = "R", at
        elif item.what == "updated":
            line[at] = "U"
        elif open_since is not None:
            line[open_since + 1 : at] = [sign if sign == "U" else "=" for sign in line[open_since + 1 : at]]
            line[at], open_since = "C", None
    if open_since is not None:
        line[open_since + 1 :] = [sign if sign == "U" else "=" for sign in line[open_since + 1 :]]
    return "incident".ljust(_LABEL) + "".join(line)


def _row(label: str, signs: "zip[tuple[int, str]]", width: int) -> str:
    line = [" "] * (width + 8)
    for column, sign in signs:
        line[column : column + len(sign)] = sign
    return label.ljust(_LABEL) + "".join(line)


def _column(example: Example, time_us: int) -> int:
    return time_us // (example.step_s * SECOND_US)


_FLOW = "stream: traffic\ntype: traffic.flow\n"
_COUNT = "stream: camera\ntype: camera.count\n"
_SLOW = _FLOW + "where: speed_kmh < 15\n"

EXAMPLES: tuple[Example, ...] = (
    Example(
        ("hold",),
        "`hold`: over when nothing has matched for so long",
        _SLOW + "hold: 20s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 12 12 40 12}}",
        50,
        note="Raised by the first match; each further match begins `hold` anew. A reading that does not "
        "match changes nothing here. Timers wait 2 s for late events: the log's clock says 37 s "
        "when 35 s are over.",
    ),
    Example(
        ("for",),
        "`for`: it must last before it fires",
        _SLOW + "for: 10s\nhold: 20s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 12 40 12x3 40x2}}",
        55,
        note="The fast reading at 5 s contradicts the first: the ten seconds begin anew at 10 s.",
    ),
    Example(
        ("clear_when",),
        "`clear_when` with `hold`: hysteresis",
        _SLOW + "clear_when: speed_kmh > 25\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 12 20 30 20 30x4}}",
        45,
        note="Only `c` ends it, after 10 s of nothing else: the 20 km/h at 15 s are neither slow nor "
        "flowing, and interrupt.",
    ),
    Example(
        ("count", "having"),
        "`having: count`: a sliding window",
        _SLOW + "having: count >= 3 within 20s\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 12 _ 12x2 _x2 12}}",
        60,
        note="An event at t counts in [t, t + 20 s): the one of 0 s has left at 20 s. False from then "
        "on, over 10 s later.",
    ),
    Example(
        ("avg",),
        "`having: avg`",
        _COUNT + "having: avg(people) >= 60 within 20s\nhold: 10s\n",
        "{series: camera.count, source: c, every: 10s, data: {people: 40 80 60 20}}",
        60,
        value="people",
    ),
    Example(
        ("sum",),
        "`having: sum`",
        _COUNT + "having: sum(vehicles) >= 10 within 20s\nhold: 10s\n",
        "{series: camera.count, source: c, every: 10s, data: {vehicles: 4 5 6 1}}",
        60,
        value="vehicles",
    ),
    Example(
        ("min",),
        "`having: min`",
        _FLOW + "having: min(speed_kmh) < 15 within 20s\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 10s, data: {speed_kmh: 40 12 40 40}}",
        60,
        value="speed_kmh",
    ),
    Example(
        ("max",),
        "`having: max`",
        _FLOW + "having: max(speed_kmh) > 80 within 20s\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 10s, data: {speed_kmh: 40 90 40 40}}",
        60,
        value="speed_kmh",
    ),
    Example(
        ("distinct",),
        "`having: distinct`",
        "stream: camera\ntype: camera.plate\nhaving: distinct(plate) >= 3 within 20s\nhold: 10s\n",
        "{series: camera.plate, source: c, every: 5s, data: {plate: [A, A, B, C]}}",
        60,
        value="plate",
        note="The second `A` is no new value, but keeps `A` in the window.",
    ),
    Example(
        ("rate",),
        "`having: rate`",
        _SLOW + "having: rate >= 9 within 20s\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 12x3 _x2}}",
        60,
        note="Events per minute: three within 20 s are nine.",
    ),
    Example(
        ("p50",),
        "`having: p50`",
        _FLOW + "having: p50(speed_kmh) < 15 within 20s, at least 3\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 12 40 12 40}}",
        60,
        value="speed_kmh",
        note="The median of fewer than three readings is no value.",
    ),
    Example(
        ("p95",),
        "`having: p95`, tumbling",
        _FLOW + "having: p95(speed_kmh) > 60 within 20s tumbling\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 40 70 40x6}}",
        60,
        value="speed_kmh",
        note="Windows of 20 s side by side; each is judged when it closes.",
    ),
    Example(
        ("stddev",),
        "`having: stddev`",
        _FLOW + "having: stddev(speed_kmh) > 20 within 20s\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 40 41 90 40}}",
        60,
        value="speed_kmh",
    ),
    Example(
        ("ewma_z",),
        "`having: ewma_z`: early warning",
        _FLOW + "having: ewma_z(speed_kmh) <= -4 within 10m, at least 5, after 25s\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 50 52 49 51 50 50 20 50}}",
        60,
        value="speed_kmh",
        note="Five readings over 25 s teach what is usual; 20 km/h is far from it.",
    ),
    Example(
        ("cooldown",),
        "`cooldown`: rest after an episode",
        _SLOW + "hold: 5s\ncooldown: 20s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 12 _ _ 12 _x3 12}}",
        60,
    ),
    Example(
        ("sequence",),
        "`sequence`: steps in order",
        "stream: camera\ntype: camera.alarm\nsequence:\n"
        "  steps: ['kind == \"motion\"', 'kind == \"intrusion\"']\n  within: 20s\nhold: 10s\n",
        "{series: camera.alarm, source: c, every: 5s, data: {kind: [intrusion, motion, other, intrusion]}}",
        40,
        note="The digits are the steps an event may take. The first intrusion precedes the motion.",
    ),
    Example(
        ("fence",),
        "`fence`: a subject at a border",
        "stream: camera\ntype: camera.count\nfence: {when: dwells 10s, area: {kind: zone}}\n",
        "".join(
            f"{{event: camera.count, at: {at}s, source: c, subject: car, lon: {lon}, lat: 0.0005}}\n"
            for at, lon in ((0, 105.9995), (5, 106.0005), (10, 106.0005), (15, 106.0005), (25, 105.9995))
        ),
        40,
        areas="[{kind: zone, code: z1, box: [106.0, 0.0, 106.001, 0.001]}]",
        note="Inside from 5 s to 25 s.",
    ),
    Example(
        ("near",),
        "`near`: two streams meet",
        "stream: camera\ntype: camera.alarm\nwhere: kind == 'flood'\n"
        "near: {stream: feedback, type: feedback.report, metres: 300, within: 20s}\nhold: 10s\n",
        "{event: camera.alarm, at: 0s, source: c, ward: w, lon: 106.0, lat: 0.0, data: {kind: flood}}\n"
        "{event: feedback.report, at: 8s, source: an, ward: w, lon: 106.001, lat: 0.0, "
        "data: {category: flood, text: nước}}",
        40,
        note="`r` is an event of the other stream, here 111 m away.",
    ),
    Example(
        ("severity",),
        "`severity` in steps",
        _COUNT
        + "having: avg(people) >= 60 within 20s\nhold: 10s\n"
        + "severity: [{at: 60, level: medium}, {at: 120, level: high}]\n",
        "{series: camera.count, source: c, every: 10s, data: {people: 70 200 20}}",
        60,
        value="people",
        severity=True,
        note="A higher severity is told at once; it never falls within an episode.",
    ),
    Example(
        ("absence",),
        "`absence`: silence",
        "stream: camera\nabsence: 60s\n",
        "{series: camera.count, source: c, every: 30s, data: {people: 3x2}}\n"
        "{event: camera.status, at: 120s, source: c, data: {online: true}}",
        150,
        step_s=2,
        note="Counted by arrival on the log's clock. A registered device that never spoke counts from "
        "the start.",
    ),
    Example(
        ("late",),
        "An event that arrives late",
        _SLOW + "having: count >= 3 within 20s\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 12x2}}\n"
        "{event: traffic.flow, at: 10s, arrives: 18s, source: d, data: {speed_kmh: 12}}",
        45,
        note="`c` counts at its own time: the incident opened at 10 s and is raised at 18 s.",
    ),
    Example(
        ("late",),
        "An event too late",
        _SLOW + "having: count >= 3 within 20s\nhold: 10s\n",
        "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 12x2}}\n"
        "{event: traffic.flow, at: 10s, arrives: 40s, source: d, data: {speed_kmh: 12}}",
        45,
        note="Older than the window (without one: than `hold`, `for`, at least 60 s) behind the "
        "watermark: what it could begin is over. It is counted as late and left out.",
    ),
    Example(
        ("order",),
        "An end that overtakes its beginning, by order of time",
        "stream: camera\ntype: camera.alarm\nwhere: active\nclear_when: '!active'\norder: time\n",
        "{event: camera.alarm, at: 11s, source: c, data: {kind: flood, active: false}}\n"
        "{event: camera.alarm, at: 10s, arrives: 12s, source: c, data: {kind: flood}}",
        30,
        note="By `arrival` the incident would be raised at 12 s and stay open.",
    ),
)
