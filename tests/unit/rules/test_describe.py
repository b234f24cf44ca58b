"""The JSON Schema of rule files: made from the code, complete, and never stricter than the parser."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.app.pages.rules import SCHEMA
from ioc.rules import schema
from ioc.rules.describe import FUNCTIONS, KEYS, NESTED, TESTS, rule_schema, schema_text
from ioc.rules.schema import parse_rules

RULES = Path(__file__).parents[3] / "rules"
VALID = jsonschema.Draft202012Validator(rule_schema())

BASE: dict[str, Any] = {
    "rule": "it",
    "title": {"vi": "Thử", "en": "Test"},
    "stream": "traffic",
    "type": "traffic.flow",
    "where": "speed_kmh < 15",
    "hold": "60s",
    "severity": "high",
}


def parses(rule: object) -> bool:
    found, errors = parse_rules("it.yaml", yaml.safe_dump(rule, allow_unicode=True))
    return bool(found) and not errors


def hints(rule: dict[str, Any]) -> str:
    _, errors = parse_rules("it.yaml", yaml.safe_dump(rule, allow_unicode=True))
    return " ".join(str(error) for error in errors)


def known(rule: dict[str, Any], unknown: str) -> list[str]:
    """Return the names that the parser says it knows where it finds `unknown`."""
    _, errors = parse_rules("it.yaml", yaml.safe_dump(rule, allow_unicode=True))
    (hint,) = [error.suggestion for error in errors if repr(unknown) in error.message]
    assert hint is not None
    assert hint.startswith("known: ")
    return [name.partition("(")[0] for name in hint.removeprefix("known: ").split(", ")]


def test_the_file_is_what_the_code_says() -> None:
    assert SCHEMA.read_text("utf-8") == schema_text(), "run: python -m ioc.app.pages.rules"
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("file", sorted(RULES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_rule_is_valid(file: Path) -> None:
    text = file.read_text("utf-8")
    VALID.validate(yaml.safe_load(text))
    assert "$schema=../docs/rule.schema.json" in text.splitlines()[0], "editors find the schema by this line"


# what the parser knows is described -------------------------------------------------------------------------


def test_every_key_is_described() -> None:
    assert set(KEYS) == set(schema.KEYS), "describe new keys in ioc/rules/describe.py"
    assert set(known({**BASE, "qqqq": 1}, "qqqq")) == set(KEYS)


FREE = "words"
"""Its keys are words of events."""


@pytest.mark.parametrize(
    "key", [name for name, doc in KEYS.items() if "additionalProperties" in str(doc.schema) and name != FREE]
)
def test_every_nested_key_is_described(key: str) -> None:
    form: dict[str, Any] = {"qqqq": 1}
    rule = {**BASE, "having": "count > 1 within 5s", key: [form] if key == "severity" else form}
    assert known(rule, "qqqq") == list(NESTED[key])
    spec = KEYS[key].schema
    inner = spec["anyOf"][1]["items"] if key == "severity" else spec
    assert list(inner["properties"]) == list(NESTED[key])
    assert inner["additionalProperties"] is False


def test_every_function_is_described() -> None:
    assert known({**BASE, "having": "qqqq > 1 within 5s"}, "qqqq") == list(FUNCTIONS)
    functions = known({**BASE, "where": "qqqq(lane)"}, "qqqq")
    assert [*functions, *known({**BASE, "where": "lane.qqqq('x')"}, "qqqq")] == list(TESTS)


@pytest.mark.parametrize("name", KEYS)
def test_every_example_is_a_key_of_its_own_with_a_valid_value(name: str) -> None:
    example = yaml.safe_load(KEYS[name].example)
    assert list(example) == [name]
    jsonschema.validate(example[name], KEYS[name].schema)
    rule = {**BASE, **example}
    if name == "absence":
        rule = {key: value for key, value in rule.items() if key not in ("where", "hold")}
    if name == "sequence":
        del rule["where"]
    if name == FREE:
        rule["title"] = {"vi": "{lane}", "en": "{lane}"}
    if name == "severity":
        rule["having"] = "avg(speed_kmh) >= 60 within 60s"
    VALID.validate(rule)
    assert parses(rule), hints(rule)


# schema and parser agree ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"qqqq": 1},
        {"Rule": "it"},
        {"rule": "Not A Name"},
        {"rule": "a" * 65},
        {"title": {"vi": "Thử"}},
        {"title": "Thử"},
        {"title": {"vi": "Thử", "en": "Test", "fr": "Essai"}},
        {"words": {}},
        {"words": {"a": "b"}},
        {"words": {"a": {"vi": "b"}}},
        {"stream": "weather"},
        {"type": "traffic.flo"},
        {"severity": "urgent"},
        {"severity": [{"at": 1, "level": "low"}]},
        {"having": "median(speed_kmh) > 3 within 5m"},
        {"having": "count >= 3"},
        {"having": "count == 3 within 5m"},
        {"for": "20"},
        {"for": 20},
        {"hold": "1 day"},
        {"absence": "90s"},
        {"absence": "90s", "having": "count > 1 within 5s"},
        {"area": {"sort": "underpass"}},
        {"area": {}},
        {"route": {"team": "a"}},
        {"clocks": {"acknowledge": "soon"}},
        {"enabled": "maybe"},
        {"cooldown": 5},
        {"late": "keep"},
        {"order": "size"},
        {"order": "time", "sequence": {"steps": ["speed_kmh > 1", "speed_kmh < 1"], "within": "5m"}},
        {"having": "avg(speed_kmh) > 3 within 5m, at least ten"},
        {"sequence": {"steps": ["speed_kmh > 1", "speed_kmh < 1"], "within": "5m"}},
        {"fence": {"when": "jumps", "area": {"kind": "a"}}},
        {"fence": {"when": "enters"}},
        {"near": {"stream": "camera", "metres": 30}},
        {"by": 3},
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_by_both(change: dict[str, Any]) -> None:
    rule = {**BASE, **change}
    assert not parses(rule)
    assert not VALID.is_valid(rule)


@pytest.mark.parametrize("missing", ["rule", "title", "stream", "severity", "where", "hold"])
def test_what_is_missing_is_refused_by_both(missing: str) -> None:
    rule = {key: value for key, value in BASE.items() if key != missing}
    assert not parses(rule)
    assert not VALID.is_valid(rule)


durations = st.sampled_from(["500ms", "5s", " 1.5 m ", "2h", "0s", "90", 5, "1d"])
values: dict[str, st.SearchStrategy[Any]] = {
    "rule": st.sampled_from(["it", "0-x", "a_b", "", 7]),
    "title": st.sampled_from([{"vi": "a"}, {"vi": "", "en": 7}, {"vi": "{no}", "en": ""}]),
    "summary": st.sampled_from([{"vi": "a", "en": "b"}, {"vi": "{count}", "en": "{speed_kmh}"}]),
    "words": st.sampled_from([{"a": {"vi": "b", "en": "c"}}, {"a": {"vi": "b", "en": "c", "fr": "d"}}]),
    "stream": st.sampled_from(["traffic", "camera", "feedback"]),
    "type": st.sampled_from(["traffic.flow", ["traffic.flow"], ["traffic.flow", "traffic.status"], "x"]),
    "where": st.sampled_from(["speed_kmh < 15", "has(lane)", True, "true", "people > 3", "lane =="]),
    "area": st.sampled_from([{"kind": "a"}, {"code": "a"}, {"code": ["a", 3]}, {"kind": 3}, {}]),
    "ward": st.sampled_from(["25747", 25747, ["25747", 25750], []]),
    "by": st.sampled_from(["source", ["ward", "source"], ["extra.lane"], "lane", []]),
    "having": st.sampled_from([
        "count >= 3 within 60s", " count()>2  within 1 m", "avg(speed_kmh) < 1e1 within 5m",
        "distinct(lane) > 2 within 1h", "sum(volume_veh * 2) >= 3 within 24h", "count > x within 5s",
        "p95(speed_kmh) > 60 within 5m tumbling", "p50(speed_kmh) < 9 within 1 m , at  least 10",
        "rate > 3 within 5m", "stddev(speed_kmh) > 3 within 5m", "ewma_z(speed_kmh) <= -4 within 1h",
        "ewma_z(speed_kmh) <= -4 within 1h, at least 9, after 90m",
        "ewma_z(speed_kmh) <= -4 within 1h, after 2h",
    ]),
    "for": durations,
    "clear_when": st.sampled_from(["speed_kmh > 25", "!has(lane)"]),
    "hold": durations,
    "absence": durations,
    "cooldown": durations,
    "late": st.sampled_from(["drop", "amend", "keep"]),
    "order": st.sampled_from(["time", "arrival", "size"]),
    "sequence": st.sampled_from([
        {"steps": ["lane == null", {"where": True, "type": "traffic.flow"}], "within": "5m"},
        {"steps": ["has(lane)"], "within": "5m"},
    ]),
    "fence": st.sampled_from([
        {"when": "inside", "area": {"kind": "a"}}, {"when": "dwells 90 s", "area": {"code": [1]}},
        {"when": "leaves", "area": {"code": "a"}, "initial": "outside", "margin_m": "5", "lost": "1h"},
    ]),
    "near": st.sampled_from([
        {"stream": "camera", "metres": 300, "within": "5m"}, {"stream": "camera", "metres": 0},
        {"stream": "feedback", "type": ["feedback.report"], "metres": "30", "within": "5m", "where": True},
    ]),
    "severity": st.sampled_from([
        "low", "critical", [], [{"at": 1, "level": "low"}],
        [{"at": "1", "level": "low"}, {"at": 2, "level": "high"}],
    ]),
    "category": st.sampled_from(["flood", "a_b", 7, "Flood"]),
    "route": st.sampled_from([{"category": "flood"}, {}]),
    "clocks": st.sampled_from([{"acknowledge": "5m"}, {"resolve": "2h", "acknowledge": "1m"}, {}]),
    "enabled": st.booleans(),
}  # fmt: skip


@given(st.fixed_dictionaries({}, optional=values), st.sets(st.sampled_from(sorted(BASE))))
@settings(max_examples=500, deadline=None)
def test_whatever_the_parser_accepts_is_valid(change: dict[str, Any], left_out: set[str]) -> None:
    assert set(values) == set(KEYS), "give the new key some values here"
    rule = {key: value for key, value in {**BASE, **change}.items() if key not in left_out or key in change}
    if parses(rule):
        VALID.validate(rule)
