"""The predicate language: what it accepts, what missing values mean, and that both back ends agree."""

# ruff: noqa: E501 - tables read better with one case a line

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.events import (
    AlarmKind,
    CameraAlarm,
    CameraCount,
    Event,
    EventData,
    FeedbackReport,
    TrafficFlow,
)
from ioc.rules.columns import FEW, EventColumns
from ioc.rules.errors import PredicateError
from ioc.rules.predicate import compile_expression, compile_predicate
from ioc.rules.predicate.values import number_reader


def event(data: EventData, **more: object) -> Event:
    return Event(id="1", source="cam-1", time_us=0, received_us=0, data=data, **more)  # type: ignore[arg-type]


def holds(text: str, data: EventData, **more: object) -> bool:
    """Evaluate with both back ends and insist on one answer."""
    one = event(data, **more)
    predicate = compile_predicate(text, [one.type])
    many = [one] * (FEW + 1)
    columns = EventColumns(many, range(len(many)), np.zeros(len(many), dtype=np.int64))
    mask = columns.holds(predicate)
    assert mask.dtype == np.bool_
    assert mask.tolist() == [predicate(one)] * len(many)
    return predicate(one)


FLOW = TrafficFlow(
    speed_kmh=12.0,
    occupancy=0.5,
    lane="left",
    extra={"depth": 40, "note": "x", "flag": True, "big": 10**400, "nan": math.nan, "none": None},
)
NOTHING = TrafficFlow()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("speed_kmh < 15 && occupancy > 0.35", True),
        ("speed_kmh >= 12", True),
        ("12 <= speed_kmh", True),
        ("speed_kmh > 12", False),
        ("speed_kmh == 12.0", True),
        ("speed_kmh != 12", False),
        ("speed_kmh != 13", True),
        ("speed_kmh == 12 || occupancy > 1", True),
        ("!(speed_kmh > 15)", True),
        ("!(speed_kmh > 15 && occupancy > 1)", True),
        ("!(speed_kmh > 15 || occupancy < 1)", False),
        ("speed_kmh in [1, 12, -3]", True),
        ("!(speed_kmh in [1, 12])", False),
        ("!(speed_kmh in [1, 2])", True),
        ('lane in ["left", "right"]', True),
        ('!(lane in ["left"])', False),
        ('!(lane in ["right"])', True),
        ("lane == 'left'", True),
        ("lane != 'left'", False),
        ("'right' != lane", True),
        ("'left' == lane", True),
        ("lane == source", False),
        ("lane != source", True),
        ('lane.startsWith("le")', True),
        ('lane.endsWith("ft") && lane.contains("ef")', True),
        ('!lane.contains("x")', True),
        ('source.startsWith("cam-")', True),
        ("speed_kmh * 2 + 1 > 24.5", True),
        ("(speed_kmh - 2) / 2 == 5", True),
        ("-speed_kmh < -11", True),
        ("speed_kmh / 0 > 1", False),
        ("!(speed_kmh / 0 > 1)", False),
        ("1 < 2", True),
        ("1 == 2 || 2 != 2", False),
        ("true && !false", True),
        ("has(speed_kmh) && !has(volume_veh) && has(lane)", True),
        ("!has(speed_kmh)", False),
        ("extra.depth * 2 >= 80", True),
        ("extra.depth == 'x'", False),
        ("extra.note == 'x'", True),
        ("'x' == extra.note", True),
        ("extra.note > 1", False),
        ("extra.flag == true", True),
        ("extra.flag", True),
        ("!extra.flag", False),
        ("extra.big > 1 || extra.nan > 1 || extra.none > 1", False),
        (
            "has(extra.depth) && has(extra.big) && !has(extra.nan) && !has(extra.none) && !has(extra.absent)",
            True,
        ),
        ("lane != null && volume_veh == null && null == extra.absent && extra.none == null", True),
        ("lane == null || volume_veh != null || extra.nan != null", False),
        ("'depth' in extra && !('none' in extra) && !('absent' in extra)", True),
        ("lane.matches('^le.t$') && !lane.matches('^e') && source.matches('\\\\d')", True),
        ("1.5e1 > speed_kmh", True),
        (r"lane == 'le\"ft' || lane != 'a\\b'", True),
    ],
)
def test_predicates_mean_what_they_say(text: str, expected: bool) -> None:
    assert holds(text, FLOW) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("speed_kmh < 15", False),
        ("!(speed_kmh < 15)", False),
        ("speed_kmh != 15", False),
        ("speed_kmh < 15 || true", True),
        ("speed_kmh < 15 && false", False),
        ("!(speed_kmh < 15 && false)", True),
        ("!(speed_kmh < 15 || true)", False),
        ("lane != 'left'", False),
        ("lane != subject", False),
        ("!(lane in ['left'])", False),
        ("!(speed_kmh in [1])", False),
        ("!lane.contains('x')", False),
        ("lane.matches('.*')", False),
        ("!lane.matches('x')", False),
        ("speed_kmh == null && !(lane != null)", True),
        ("speed_kmh + 1 < 100", False),
        ("has(speed_kmh) || has(lane)", False),
        ("lon > 1", False),
    ],
)
def test_unknown_is_not_true_and_survives_negation(text: str, expected: bool) -> None:
    assert holds(text, NOTHING) is expected


def test_enumerations_and_truths_of_other_types() -> None:
    alarm = CameraAlarm(kind=AlarmKind.WRONG_WAY, active=False)
    assert holds('kind == "wrong_way" && !active', alarm)
    assert holds("active == false && active != true", alarm)
    assert holds('kind in ["wrong_way", "flood"] && kind.startsWith("wrong")', alarm)
    assert holds("counts.bicycle > 2 && !has(counts.bus)", CameraCount(counts={"bicycle": 3}))
    assert holds(
        'ward == "25747" && lon < 107', FeedbackReport(category="c", text="t"), ward="25747", lon=106.7
    )


@pytest.mark.parametrize(
    ("text", "kind", "offset", "message", "hint"),
    [
        ("speed < 3", "traffic.flow", 0, "unknown field 'speed'", "did you mean 'speed_kmh'?"),
        ("zzz < 3", "traffic.flow", 0, "unknown field 'zzz'", "known: "),
        ("data.speed_kmh < 3", "traffic.flow", 0, "unknown field 'data.speed_kmh'", "did you mean 'speed_kmh'?"),
        ("a = 3", "traffic.flow", 2, "'=' is not an operator", "write =="),
        ("speed_kmh < 3 and true", "traffic.flow", 14, "'and' is not an operator", "write &&"),
        ("speed_kmh < 3 & true", "traffic.flow", 14, "'&' is not an operator", "write &&"),
        ("speed_kmh < '3'", "traffic.flow", 10, "compares a number with text", "numbers take no quotes"),
        ("lane == 3", "traffic.flow", 5, "compares text with a number", None),
        ("lane < 'a'", "traffic.flow", 5, "< orders numbers only", "texts compare"),
        ("kind == 'wrongway'", "camera.alarm", 8, "kind is never 'wrongway'", "did you mean 'wrong_way'?"),
        ("kind in ['flod']", "camera.alarm", 9, "kind is never 'flod'", "did you mean 'flood'?"),
        ("kind == 'qqq'", "camera.alarm", 8, "kind is never 'qqq'", "known: wrong_way"),
        ("0 < speed_kmh < 3", "traffic.flow", 14, "comparisons do not chain", "join two with &&"),
        ("speed_kmh in [1] in [2]", "traffic.flow", 17, "comparisons do not chain", None),
        ("speed_kmh", "traffic.flow", 0, "expected a condition, found a number", "compare it"),
        ("speed_kmh + 1", "traffic.flow", 0, "expected a condition, found a number", "compare it"),
        ("'a' && true", "traffic.flow", 0, "expected a condition, found text", None),
        ("lane + 1 > 2", "traffic.flow", 0, "expected a number, found text", None),
        ("-lane > 2", "traffic.flow", 1, "expected a number, found text", None),
        ("speed_kmh.contains('x')", "traffic.flow", 0, "expected text, found a number", None),
        ("lane.contain('x')", "traffic.flow", 5, "unknown test 'contain'", "did you mean 'contains'?"),
        ("lane.match('x')", "traffic.flow", 5, "unknown test 'match'", "did you mean 'matches'?"),
        ("lane.matches(source)", "traffic.flow", 5, "matches takes one quoted pattern", "plate.matches"),
        ("speed_kmh.matches('x')", "traffic.flow", 0, "expected text, found a number", None),
        ("lane.matches('a(b')", "traffic.flow", 15, "a parenthesis is not closed in the pattern", None),
        ("'x' in speed_kmh", "traffic.flow", 7, "unknown field 'speed_kmh.x'", None),
        ("lane in extra", "traffic.flow", 0, "expected a quoted key before `in` and a map", "counts"),
        ("lane < null", "traffic.flow", 5, "null compares with a field by == or !=", "field == null"),
        ("null == null", "traffic.flow", 5, "null compares with a field by == or !=", None),
        ("null + 1 > 2", "traffic.flow", 0, "null is no value to work with", None),
        ("lane.contains('x', 'y')", "traffic.flow", 5, "contains takes one text", None),
        ("hass(lane)", "traffic.flow", 0, "unknown function 'hass'", "did you mean 'has'?"),
        ("size(lane)", "traffic.flow", 0, "unknown function 'size'", "known: has(field)"),
        ("has(1)", "traffic.flow", 0, "has() takes one field", "as in has(speed_kmh)"),
        ("has(lane, lane)", "traffic.flow", 0, "has() takes one field", None),
        ("extra.a == extra.b", "traffic.flow", 8, "two extra fields have no known kind", "literal"),
        ("extra > 1", "traffic.flow", 0, "'extra' is a map", "name one entry"),
        ("extra.a.b > 1", "traffic.flow", 0, "'extra' is a map", "name one entry"),
        ("photos == 1", "feedback.report", 0, "'photos' is a list and cannot be used in a predicate", None),
        ("speed_kmh in []", "traffic.flow", 13, "the list is empty: nothing is in it", None),
        ("speed_kmh in [1, 'a']", "traffic.flow", 17, "the list needs a number, found text", None),
        ("speed_kmh in [lane]", "traffic.flow", 14, "a list holds numbers or texts, found 'lane'", None),
        ("speed_kmh in [-'a']", "traffic.flow", 15, "a list holds numbers or texts, found 'a'", None),
        ("speed_kmh in 3", "traffic.flow", 13, "expected '[' after in, found '3'", None),
        ("speed_kmh in [1 2]", "traffic.flow", 16, "expected ',' between the values of a list, found '2'", None),
        ("[1] == 2", "traffic.flow", 0, "expected a value, found '['", "`in` needs a value"),
        ("(speed_kmh < 3", "traffic.flow", 14, "expected ')' to close the parenthesis, found the end", None),
        ("(1 < 2) < 3", "traffic.flow", 1, "a condition stands where a value is expected", None),
        ("has(lane) == true", "traffic.flow", 0, "a condition stands where a value is expected", None),
        ("lane.contains('x') == true", "traffic.flow", 0, "a condition stands where a value is expected", None),
        ("speed_kmh 3", "traffic.flow", 10, "expected && or ||, found '3'", None),
        ("lane. == 3", "traffic.flow", 6, "expected a name after '.', found '=='", None),
        ("'a'.b == 3", "traffic.flow", 3, "only a name has parts", None),
        ("has(lane", "traffic.flow", 8, "expected ',' between arguments, found the end", None),
        ("lane == 'a", "traffic.flow", 8, "a text is not closed", "end it with '"),
        ("lane == “a”", "traffic.flow", 8, "“ does not quote a text", "straight quotes"),
        ("lane ? 1 : 2", "traffic.flow", 5, "`a ? b : c` is not part of the language", "&& and ||"),
        ("lane # 2", "traffic.flow", 5, "unexpected character '#'", None),
        (r"lane == 'a\q'", "traffic.flow", 10, "unknown escape \\q in a text", None),
        ("", "traffic.flow", 0, "expected a value, found the end", None),
        ("(" * 60 + "true", "traffic.flow", 50, "nested deeper than 50", None),
        ("!" * 60 + "true", "traffic.flow", 49, "nested deeper than 50", None),
        ("true && " * 600, "traffic.flow", 4000, "longer than 4000 characters", None),
    ],
)  # fmt: skip
def test_errors_name_the_place_and_the_remedy(
    text: str, kind: str, offset: int, message: str, hint: str | None
) -> None:
    with pytest.raises(PredicateError) as caught:
        compile_predicate(text, [kind])
    assert (caught.value.message, caught.value.offset) == (message, offset)
    if hint is not None:
        assert hint in (caught.value.suggestion or "")


def test_fields_must_be_in_every_type_of_the_rule() -> None:
    assert compile_predicate("online == false", ["camera.status", "traffic.status"]).types
    with pytest.raises(PredicateError, match=r"'speed_kmh' is not a field of traffic\.status"):
        compile_predicate("speed_kmh < 3", ["traffic.flow", "traffic.status"])
    with pytest.raises(PredicateError, match="'speed_kmh' is not a field of camera"):
        compile_predicate("speed_kmh < 3", ["camera.object", "camera.count"])
    with pytest.raises(PredicateError, match=r"'kind' is not a field of camera\.count"):
        compile_predicate("kind == 'flood'", ["camera.count", "camera.alarm"])


def test_expressions_measure_numbers() -> None:
    read = number_reader(compile_expression("speed_kmh * occupancy - 1", ["traffic.flow"]))
    assert read(event(FLOW)) == 5.0
    assert math.isnan(read(event(NOTHING)))


# both back ends ---------------------------------------------------------------------------------------------

NUMBERS = st.sampled_from(["speed_kmh", "occupancy", "volume_veh", "lon", "extra.n", "0", "1", "2.5"])
TEXTS = st.sampled_from(["lane", "source", "subject", "extra.t", "'a'", "'ab'"])
sums = st.recursive(
    NUMBERS, lambda x: st.builds("({} {} {})".format, x, st.sampled_from("+-*/"), x), max_leaves=3
)
leaves = st.one_of(
    st.builds("({} {} {})".format, sums, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), sums),
    st.builds("({} {} {})".format, TEXTS, st.sampled_from(["==", "!="]), TEXTS),
    st.builds("({} in [0, 1, -2])".format, sums),
    st.builds("({} in ['a', 'b'])".format, TEXTS),
    st.builds("{}.{}({})".format, TEXTS, st.sampled_from(["startsWith", "endsWith", "contains"]), TEXTS),
    st.builds("{}.matches({})".format, TEXTS, st.sampled_from(["'a|^$'", "'^a?b$'", "'(?i)B'"])),
    st.builds(
        "({} {} null)".format,
        st.sampled_from(["speed_kmh", "lane", "extra.n"]),
        st.sampled_from(["==", "!="]),
    ),
    st.sampled_from(["('n' in extra)", "('t' in extra)"]),
    st.builds("has({})".format, st.sampled_from(["speed_kmh", "lane", "extra.n", "extra.t", "lon"])),
    st.sampled_from(["true", "false", "extra.b", "extra.b != true"]),
)
conditions = st.recursive(
    leaves,
    lambda x: st.one_of(st.builds("!({})".format, x), st.builds("({} {} {})".format, x, st.sampled_from(["&&", "||"]), x)),
    max_leaves=8,
)  # fmt: skip
number = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.5, -2.0, math.nan, math.inf, 1e308]))
text = st.sampled_from([None, "a", "ab", "b", ""])
scalar = st.one_of(number, text, st.booleans(), st.integers(-2, 2))
flows = st.builds(
    lambda speed, occupancy, volume, lane, subject, lon, extra: event(
        TrafficFlow(speed_kmh=speed, occupancy=occupancy, volume_veh=volume, lane=lane, extra=extra),
        subject=subject,
        lon=lon,
    ),
    number, number, st.one_of(st.none(), st.integers(-2, 3)), text, text, number,
    st.dictionaries(st.sampled_from(["n", "t", "b"]), scalar),
)  # fmt: skip


@given(conditions, st.lists(flows, min_size=FEW + 1, max_size=12))
@settings(max_examples=400, deadline=None)
def test_mask_and_closure_agree(text: str, events: list[Event]) -> None:
    try:
        predicate = compile_predicate(text, ["traffic.flow"])
    except PredicateError as error:
        assert error.message.startswith(("two extra fields", "compares"))
        return
    columns = EventColumns(events, range(len(events)), np.zeros(len(events), dtype=np.int64))
    assert columns.holds(predicate).tolist() == [predicate(item) for item in events]


@given(st.text(alphabet="ab .&|!<>=()[]'\"\\in,1has+-*/", max_size=30))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_predicate_or_a_predicate_error(text: str) -> None:
    try:
        compile_predicate(text, ["traffic.flow"])
    except PredicateError as error:
        assert 0 <= error.offset <= len(text)
