"""Every bound of rules, once: what is bounded, by how much, and what happens beyond it.

The reference prints this table. Where a push is refused, `beyond` is a rule just beyond the bound: a test
pushes it and sees the refusal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ioc.model.times import HOUR_US, SECOND_US
from ioc.rules import compile as compiling
from ioc.rules import (
    engine,
    fence,
    having,
    machine,
    near,
    nodes,
    patterns,
    schema,
    silence,
    spell,
    wide_forward,
    wide_merge,
    windows,
)  # fmt: skip
from ioc.rules.predicate import regex, syntax

REFUSED: Final = "refused"
FLOW: Final = "stream: traffic\ntype: traffic.flow\nhold: 60s\n"
SLOW: Final = f"{FLOW}where: speed_kmh < 9\n"
WORD: Final = "{vi: a, en: b}"


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound. `constants` are the names, with their module, that state it."""

    what: str
    bound: str
    effect: str
    constants: tuple[str, ...]
    beyond: Callable[[], str] | None = None
    """Returns the lines of a rule (without name, title and severity) that is refused."""


def _hours(time_us: int) -> str:
    return f"{time_us // HOUR_US} h"


def _seconds(time_us: int) -> str:
    return f"{time_us // SECOND_US} s"


def _where(text: str) -> Callable[[], str]:
    return lambda: f"{FLOW}where: {text}\n"


def _having(text: str) -> Callable[[], str]:
    return lambda: f"{FLOW}having: {text}\n"


def _sequence(count: int, within: str = "5m") -> Callable[[], str]:
    steps = ", ".join(["speed_kmh > 1"] * count)
    return lambda: f"{FLOW}sequence: {{steps: [{steps}], within: {within}}}\n"


def _near(metres: int, within: str) -> Callable[[], str]:
    return lambda: f"{FLOW}near: {{stream: camera, metres: {metres}, within: {within}}}\n"


def _matches(pattern: str) -> Callable[[], str]:
    return _where(f"'lane.matches(\"{pattern}\")'")


_TOO_LONG: Final = f"{schema.MAX_DURATION_US // HOUR_US + 1}h"
_TOO_WIDE: Final = f"{having.MAX_WINDOW_US // HOUR_US + 1}h"


REFUSING: Final = (
    Bound("rules in a program", f"{compiling.MAX_RULES:,}", REFUSED, ("compile.MAX_RULES",)),
    Bound("a rule file", f"{nodes.MAX_FILE_CHARS:,} characters", REFUSED, ("nodes.MAX_FILE_CHARS",),
          lambda: f"{SLOW}#{'x' * nodes.MAX_FILE_CHARS}\n"),
    Bound("lists and mappings within each other", f"{nodes.MAX_DEPTH}", REFUSED, ("nodes.MAX_DEPTH",),
          lambda: f"{SLOW}route: {'[' * nodes.MAX_DEPTH}{']' * nodes.MAX_DEPTH}\n"),
    Bound("each text of `title` and `summary`", f"{schema.MAX_TEXT_CHARS} characters", REFUSED,
          ("schema.MAX_TEXT_CHARS",),
          lambda: f"{SLOW}summary: {{vi: a, en: {'x' * (schema.MAX_TEXT_CHARS + 1)}}}\n"),
    Bound("entries of `words`", f"{schema.MAX_WORDS}", REFUSED, ("schema.MAX_WORDS",),
          lambda: f"{SLOW}words:\n" + "".join(f"  w{n}: {WORD}\n" for n in range(schema.MAX_WORDS + 1))),
    Bound("parts of a key (`by`)", f"{schema.MAX_KEY_PARTS}", REFUSED, ("schema.MAX_KEY_PARTS",),
          lambda: f"{SLOW}by: [{', '.join(f'extra.k{n}' for n in range(schema.MAX_KEY_PARTS + 1))}]\n"),
    Bound("entries of `ward` or an area's `code`", f"{nodes.MAX_ENTRIES}", REFUSED, ("nodes.MAX_ENTRIES",),
          lambda: f"{SLOW}ward: [{', '.join(map(str, range(nodes.MAX_ENTRIES + 1)))}]\n"),
    Bound("a window", f"{_seconds(having.MIN_WINDOW_US)} to {_hours(having.MAX_WINDOW_US)}", REFUSED,
          ("having.MIN_WINDOW_US", "having.MAX_WINDOW_US"), _having(f"count > 2 within {_TOO_WIDE}")),
    Bound("`for`, `hold`, `cooldown`, `absence`", f"at most {_hours(schema.MAX_DURATION_US)}", REFUSED,
          ("schema.MAX_DURATION_US",), lambda: f"{SLOW}for: {_TOO_LONG}\n"),
    Bound("`absence`", f"at least {_seconds(schema.MIN_ABSENCE_US)}", REFUSED, ("schema.MIN_ABSENCE_US",),
          lambda: "stream: traffic\nabsence: 4s\n"),
    Bound("threshold of `distinct`", f"at most {windows.MAX_DISTINCT:,}", REFUSED, ("windows.MAX_DISTINCT",),
          _having(f"distinct(lane) > {windows.MAX_DISTINCT + 1} within 1h")),
    Bound("`at least` of p50, p95, stddev", f"at most {windows.MAX_SAMPLES}", REFUSED,
          ("windows.MAX_SAMPLES",),
          _having(f"p95(speed_kmh) > 9 within 1h, at least {windows.MAX_SAMPLES + 1}")),
    Bound("steps of a sequence", f"2 to {patterns.MAX_STEPS}", REFUSED, ("patterns.MAX_STEPS",),
          _sequence(patterns.MAX_STEPS + 1)),
    Bound("`within` of a sequence and of `near`", f"at most {_hours(patterns.MAX_WITHIN_US)}", REFUSED,
          ("patterns.MAX_WITHIN_US",), _sequence(2, "25h")),
    Bound("`metres` of `near`", f"at most {patterns.MAX_METRES:,}", REFUSED, ("patterns.MAX_METRES",),
          _near(patterns.MAX_METRES + 1, "5m")),
    Bound("length of a predicate", f"{syntax.MAX_LENGTH:,} characters", REFUSED,
          ("predicate.syntax.MAX_LENGTH",),
          _where(" || ".join(["speed_kmh < 9"] * (syntax.MAX_LENGTH // 13)))),
    Bound("nesting in a predicate", f"{syntax.MAX_DEPTH}", REFUSED, ("predicate.syntax.MAX_DEPTH",),
          _where("(" * (syntax.MAX_DEPTH + 1) + "speed_kmh < 9" + ")" * (syntax.MAX_DEPTH + 1))),
    Bound("length of a regular expression", f"{regex.MAX_PATTERN} characters", REFUSED,
          ("predicate.regex.MAX_PATTERN",), _matches("a" * (regex.MAX_PATTERN + 1))),
    Bound("its size with repeats written out", f"{regex.MAX_STATES} states", REFUSED,
          ("predicate.regex.MAX_STATES",), _matches("(a{90}b{90}){9}")),
    Bound("a repeat in it", f"at most {regex.MAX_REPEAT} times", REFUSED, ("predicate.regex.MAX_REPEAT",),
          _matches(f"a{{{regex.MAX_REPEAT + 1}}}")),
    Bound("nesting in it", f"{regex.MAX_NESTING}", REFUSED, ("predicate.regex.MAX_NESTING",),
          _matches("(" * (regex.MAX_NESTING + 1) + "a" + ")" * (regex.MAX_NESTING + 1))),
)  # fmt: skip
"""Beyond these a rule does not compile, so that neither a push nor a start takes it."""

LIVING: Final = (
    Bound("keys of a rule on a partition", f"{engine.DEFAULT_MAX_KEYS:,}",
          "the longest idle are forgotten and counted (evicted), those with an open incident last, cleared",
          ("engine.DEFAULT_MAX_KEYS",)),
    Bound("devices that a silence rule should hear from, on a partition", "those keys",
          "the first by id are watched, the others only once they are heard; counted (unwatched)", ()),
    Bound("length of a key", f"{machine.MAX_KEY_BYTES:,} bytes", "shortened to its beginning and a hash",
          ("machine.MAX_KEY_BYTES",)),
    Bound("events of a key that wait for the watermark", f"{machine.MAX_WAITING}",
          "more are refused and counted (overflowed)", ("machine.MAX_WAITING",)),
    Bound("keys of wide rules that one event is passed on for",
          f"{wide_forward.DEFAULT_MAX_KEYS} (`rules.wide_keys`)",
          "more are left out and counted (ioc_rules_wide_dropped_total)", ("wide_forward.DEFAULT_MAX_KEYS",)),
    Bound("events of wide rules that wait for a lagging partition",
          f"{wide_merge.DEFAULT_MAX_HELD:,} per partition (`rules.wide_held`)",
          "more are refused and counted (ioc_rules_wide_refused_total)", ("wide_merge.DEFAULT_MAX_HELD",)),
    Bound("different values in `distinct`", f"{windows.MAX_DISTINCT:,}", "the oldest is forgotten", ()),
    Bound("numbers in p50, p95, stddev", f"{windows.MAX_SAMPLES}", "the oldest is forgotten", ()),
    Bound("begun sequences of a key", "one per number of steps taken", "the newer replaces the older", ()),
    Bound("events of a key that `near` remembers, on either side", f"{near.MAX_KEPT}",
          "the oldest is forgotten and counted (overflowed)", ("near.MAX_KEPT",)),
    Bound("two positions that make a crossing", f"at most {_seconds(fence.MAX_LEG_US)} apart",
          "the way between them is not known", ("fence.MAX_LEG_US",)),
    Bound("exactness of a window", f"1/{windows.PANES} of its length",
          "events closer together may leave together, up to so much late, never early", ()),
    Bound("a late event without window", f"{_seconds(spell.GRACE_US)} or `for` or `hold`",
          "counted as late, left out", ()),
    Bound("an event's clock ahead", f"{_seconds(engine.MAX_AHEAD_US)}", "read as being only so far ahead",
          ("engine.MAX_AHEAD_US",)),
    Bound("gap between ticks", _seconds(silence.MAX_TICK_GAP_US), "counts as our pause, not as silence",
          ("silence.MAX_TICK_GAP_US",)),
    Bound("events named in an incident", f"{machine.MAX_EVENT_IDS}", "the last ones are named",
          ("machine.MAX_EVENT_IDS",)),
    Bound("updates that only tell a higher count", f"one in {_seconds(machine.UPDATE_PAUSE_US)}",
          "the next tells it", ()),
    Bound("failures of a rule", f"{engine.MAX_FAILURES}",
          "the rule is disabled and shown; the others run on", ("engine.MAX_FAILURES",)),
)  # fmt: skip
"""Beyond these a running rule goes on, with less, and counts it."""


def bounds_text() -> str:
    """Return the section of the reference."""
    head = "| what | bound | beyond it |\n| --- | --- | --- |\n"

    def rows(bounds: tuple[Bound, ...], refused: str) -> str:
        return "".join(
            f"| {b.what} | {b.bound} | {refused if b.effect == REFUSED else b.effect} |\n" for b in bounds
        )

    return (
        "## Bounds\n\nA rule beyond one of these does not compile; a push is refused with file, line, column "
        f"and the bound:\n\n{head}{rows(REFUSING, 'refused')}\n"
        f"A running rule that comes to one of these goes on:\n\n{head}{rows(LIVING, '')}"
    )
