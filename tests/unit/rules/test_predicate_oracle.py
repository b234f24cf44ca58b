"""The predicate language against an independent CEL implementation: mask = closure = CEL.

Every generated predicate is a pair: our text and the same expression for CEL. They are written alike,
parentheses and precedence included, except where our meaning is *defined* to differ. All the differences:

1. Missing, null and NaN are one thing for us; CEL sees a missing key (an error), null (a value) and NaN (a
   value). So the fields handed to CEL leave out all three; the second test shows what CEL makes of them.
2. An undecided predicate is false for us, an error for CEL.
3. Every number is a double for us. CEL compares int with double but does not add them, so literals are
   written as doubles and fields inside arithmetic as `double(…)`.
4. A division by zero gives missing for us, infinity for CEL (NaN for 0/0); an arithmetic result that is NaN
   is missing for us. The CEL text says so with `? : missing`, where nothing is called `missing`.
5. A value in `extra` of another kind than its place asks for is missing for us; CEL finds it unequal. CEL is
   given one map per kind.
"""

import math
from typing import NamedTuple

import cel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.events import Event, TrafficFlow
from ioc.rules.columns import FEW, EventColumns
from ioc.rules.predicate import compile_predicate

TYPE = "traffic.flow"
UNDECIDED = (RuntimeError, TypeError, KeyError)
"""How CEL says that a variable, an overload or a key is missing."""


class Pair(NamedTuple):
    """One expression in both languages."""

    ours: str
    cel: str


def number_field(name: str) -> Pair:
    return Pair(name, f"e.{name}" if not name.startswith("extra.") else f"e.number.{name[6:]}")


def number_literal(value: float) -> Pair:
    return Pair(f"{value:g}", f"{value:.1f}")


numbers = st.one_of(
    st.sampled_from(["speed_kmh", "occupancy", "volume_veh", "lon", "extra.n", "extra.m"]).map(number_field),
    st.sampled_from([0.0, 1.0, 2.5, 3.0]).map(number_literal),
)
_OURS_TEXTS = [
    "lane",
    "source",
    "subject",
    "extra.t",
    "extra.n",
    "'a'",
    '"ab"',
    "'Đường'",
    "'🚦x'",
    "''",
    r"'\t\'\\'",
]


def text_value(name: str) -> Pair:
    if name[0] in "'\"":
        return Pair(name, name)
    return Pair(name, f"e.text.{name[6:]}" if name.startswith("extra.") else f"e.{name}")


texts = st.sampled_from(_OURS_TEXTS).map(text_value)


def as_double(pair: Pair) -> Pair:
    return Pair(pair.ours, f"double({pair.cel})")


def joined(op: str, left: Pair, right: Pair) -> Pair:
    return Pair(f"{left.ours} {op} {right.ours}", f"{left.cel} {op} {right.cel}")


def bracketed(pair: Pair) -> Pair:
    return Pair(f"({pair.ours})", f"({pair.cel})")


def divided(left: Pair, right: Pair) -> Pair:
    a, b = bracketed(left), bracketed(right)
    return Pair(f"({a.ours} / {b.ours})", f"({b.cel} != 0.0 ? {a.cel} / {b.cel} : missing)")


def negated(pair: Pair) -> Pair:
    # `--x` would be a token of neither language's making
    return Pair(f"-({pair.ours})", f"-({pair.cel})")


def never_nan(pair: Pair) -> Pair:
    return Pair(pair.ours, f"({pair.cel} == {pair.cel} ? {pair.cel} : missing)")


sums = st.recursive(
    numbers.map(as_double),
    lambda x: st.one_of(
        st.builds(joined, st.sampled_from("+-*"), x, x),  # no parentheses: precedence must agree
        st.builds(joined, st.sampled_from("+-*"), x.map(bracketed), x.map(bracketed)),
        st.builds(divided, x, x),
        x.map(negated),
    ),
    max_leaves=3,
).map(never_nan)
measured = st.one_of(numbers, sums)


def among_numbers(value: Pair) -> Pair:
    return Pair(f"{value.ours} in [0, 1, -2, 2.5]", f"{value.cel} in [0.0, 1.0, -2.0, 2.5]")


def among_texts(value: Pair) -> Pair:
    return Pair(f"{value.ours} in ['a', 'Đường']", f"{value.cel} in ['a', 'Đường']")


def text_test(name: str, value: Pair, part: Pair) -> Pair:
    return Pair(f"{value.ours}.{name}({part.ours})", f"{value.cel}.{name}({part.cel})")


def has(name: str) -> Pair:
    where = f"e.any.{name[6:]}" if name.startswith("extra.") else f"e.{name}"
    return Pair(f"has({name})", f"has({where})")


def is_known(pair: Pair) -> bool:
    """Two extra fields have no known kind: refused by us."""
    return pair.ours.count("extra.") < 2


ORDER = ["<", "<=", ">", ">=", "==", "!="]
leaves = st.one_of(
    st.builds(joined, st.sampled_from(ORDER), measured, measured).filter(is_known),
    st.builds(joined, st.sampled_from(["==", "!="]), texts, texts).filter(is_known),
    st.builds(text_test, st.sampled_from(["startsWith", "endsWith", "contains"]), texts, texts),
    measured.map(among_numbers),
    texts.map(among_texts),
    st.sampled_from(["speed_kmh", "volume_veh", "lane", "lon", "extra.n", "extra.t", "extra.absent"]).map(
        has
    ),
    st.sampled_from([Pair("true", "true"), Pair("false", "false")]),
    st.sampled_from([Pair("extra.b", "e.truth.b"), Pair("extra.b != true", "e.truth.b != true")]),
)
conditions = st.recursive(
    leaves,
    lambda x: st.one_of(
        x.map(lambda pair: Pair(f"!({pair.ours})", f"!({pair.cel})")),
        st.builds(joined, st.sampled_from(["&&", "||"]), x, x),  # && binds tighter than || in both
        st.builds(joined, st.sampled_from(["&&", "||"]), x.map(bracketed), x.map(bracketed)),
    ),
    max_leaves=8,
)

floats = st.sampled_from([0.0, -0.0, 1.0, 2.5, -2.0, 1e308, math.inf, -math.inf, math.nan])
number = st.one_of(st.none(), floats)
text = st.sampled_from(
    [None, "a", "ab", "b", "", "Đường", "Đường Đ", "đường", "🚦x", "e\u0301", "é", "\t'\\"]
)
scalar = st.one_of(number, text, st.booleans(), st.integers(-2, 3))
events = st.builds(
    lambda speed, occupancy, volume, lane, subject, lon, extra: Event(
        id="1", source="ab", time_us=0, received_us=0, subject=subject, lon=lon,
        data=TrafficFlow(speed_kmh=speed, occupancy=occupancy, volume_veh=volume, lane=lane, extra=extra),
    ),
    number, number, st.one_of(st.none(), st.integers(-2, 3)), text, text, number,
    st.dictionaries(st.sampled_from(["n", "m", "t", "b"]), scalar),
)  # fmt: skip


def is_missing(value: object) -> bool:
    return value is None or value != value


def present(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if not is_missing(value)}


def cel_fields(event: Event) -> dict[str, object]:
    """Return what CEL sees of `event`: only what is there, extra fields by kind."""
    data = event.data
    assert isinstance(data, TrafficFlow)
    extra = present(dict(data.extra))
    own = {name: getattr(data, name) for name in ("speed_kmh", "occupancy", "volume_veh", "lane")}
    return present({"source": event.source, "subject": event.subject, "lon": event.lon, **own}) | {
        "any": extra,
        "number": {k: v for k, v in extra.items() if isinstance(v, int | float) and not isinstance(v, bool)},
        "text": {k: v for k, v in extra.items() if isinstance(v, str)},
        "truth": {k: v for k, v in extra.items() if isinstance(v, bool)},
    }


def cel_holds(program: "cel.Program", event: Event) -> bool:
    """Return whether CEL finds the expression true; an error is CEL's way to say that it is undecided."""
    try:
        return program.execute({"e": cel_fields(event)}) is True
    except UNDECIDED:
        return False


def assert_all_agree(pair: Pair, found: list[Event]) -> None:
    predicate = compile_predicate(pair.ours, [TYPE])
    columns = EventColumns(found, range(len(found)), np.zeros(len(found), dtype=np.int64))
    mask = columns.holds(predicate).tolist()
    closure = [predicate(item) for item in found]
    program = cel.compile(pair.cel)
    oracle = [cel_holds(program, item) for item in found]
    assert mask == closure == oracle


@given(conditions, st.lists(events, min_size=FEW + 1, max_size=FEW + 4))
@settings(max_examples=600, deadline=None)
def test_mask_and_closure_and_cel_agree(pair: Pair, found: list[Event]) -> None:
    assert_all_agree(pair, found)


known = st.sampled_from([-2.0, 0.5, 1.0, 3.0])
complete = st.builds(
    lambda speed, occupancy, volume, lon: Event(
        id="1", source="ab", time_us=0, received_us=0, lon=lon,
        data=TrafficFlow(speed_kmh=speed, occupancy=occupancy, volume_veh=volume),
    ),
    known, known, st.integers(-2, 3), known,
)  # fmt: skip
fields = st.sampled_from(["speed_kmh", "occupancy", "volume_veh", "lon"]).map(number_field).map(as_double)
flat_sums = st.lists(st.tuples(st.sampled_from("+-*"), fields), min_size=2, max_size=4).flatmap(
    lambda rest: fields.map(lambda first: chained(first, rest))
)


def chained(first: Pair, rest: list[tuple[str, Pair]]) -> Pair:
    for op, pair in rest:
        first = joined(op, first, pair)
    return first


@given(
    st.builds(joined, st.sampled_from(ORDER), flat_sums, flat_sums),
    st.lists(complete, min_size=FEW + 1, max_size=2 * FEW),
)
@settings(max_examples=300, deadline=None)
def test_arithmetic_without_parentheses_binds_as_in_cel(pair: Pair, found: list[Event]) -> None:
    assert_all_agree(pair, found)


def flow(**fields: object) -> Event:
    return Event(id="1", source="s", time_us=0, received_us=0, data=TrafficFlow(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ours", "event", "theirs", "cel_answer", "our_answer"),
    [
        # 1: null is a value in CEL, missing for us
        ("speed_kmh != 1", flow(), ("x != 1.0", {"x": None}), True, False),
        ("!(speed_kmh == 1)", flow(), ("!(x == 1.0)", {"x": None}), True, False),
        ("has(extra.a)", flow(extra={"a": None}), ("has(x.a)", {"x": {"a": None}}), True, False),
        ("!(lane in ['a'])", flow(), ("!(x in ['a'])", {"x": None}), True, False),
        # 1: NaN is a value in CEL, missing for us
        ("speed_kmh != 1", flow(speed_kmh=math.nan), ("x != 1.0", {"x": math.nan}), True, False),
        ("!(speed_kmh in [1])", flow(speed_kmh=math.nan), ("!(x in [1.0])", {"x": math.nan}), True, False),
        ("has(extra.a)", flow(extra={"a": math.nan}), ("has(x.a)", {"x": {"a": math.nan}}), True, False),
        # 2: undecided is an error in CEL, not true for us
        ("speed_kmh < 1", flow(), ("x.speed_kmh < 1.0", {"x": {}}), KeyError, False),
        ("speed_kmh < 1", flow(), ("x < 1.0", {"x": None}), TypeError, False),
        # 3: numbers are doubles for us
        ("volume_veh + 0.5 > 1", flow(volume_veh=1), ("x + 0.5 > 1.0", {"x": 1}), TypeError, True),
        ("volume_veh / 2 == 0.5", flow(volume_veh=1), ("x / 2 == 0", {"x": 1}), True, True),
        # 4: a division by zero is missing for us
        ("speed_kmh / 0 > 1", flow(speed_kmh=5.0), ("x / 0.0 > 1.0", {"x": 5.0}), True, False),
        ("!(speed_kmh / 0 > 1)", flow(speed_kmh=5.0), ("x / 0 > 1", {"x": 5}), ZeroDivisionError, False),
        # 5: a value of the wrong kind is missing for us
        ("extra.a != 1", flow(extra={"a": "x"}), ("x != 1.0", {"x": "x"}), True, False),
        ("!(extra.a == 'x')", flow(extra={"a": 1}), ("!(x == 'x')", {"x": 1}), True, False),
        # what does not differ: int against double, and texts by code point without normalisation or folding
        ("volume_veh == 1.0", flow(volume_veh=1), ("x == 1.0", {"x": 1}), True, True),
        ("volume_veh < 1.5", flow(volume_veh=1), ("x < 1.5", {"x": 1}), True, True),
        ("lane == 'é'", flow(lane="e\u0301"), ("x == 'é'", {"x": "e\u0301"}), False, False),
        ("lane.startsWith('đ')", flow(lane="Đường"), ("x.startsWith('đ')", {"x": "Đường"}), False, False),
        ("speed_kmh < 1 || true", flow(), ("x.y < 1.0 || true", {"x": {}}), True, True),
        ("speed_kmh < 1 && false", flow(), ("x.y < 1.0 && false", {"x": {}}), False, False),
    ],
)  # fmt: skip
def test_where_our_meaning_differs_from_cel_it_is_stated(
    ours: str,
    event: Event,
    theirs: tuple[str, dict[str, object]],
    cel_answer: bool | type[Exception],
    our_answer: bool,
) -> None:
    predicate = compile_predicate(ours, [TYPE])
    columns = EventColumns([event] * (FEW + 1), range(FEW + 1), np.zeros(FEW + 1, dtype=np.int64))
    assert columns.holds(predicate).tolist() == [our_answer] * (FEW + 1)
    assert predicate(event) is our_answer
    source, context = theirs
    if isinstance(cel_answer, bool):
        assert cel.evaluate(source, context) is cel_answer
    else:
        with pytest.raises(cel_answer):
            cel.evaluate(source, context)
