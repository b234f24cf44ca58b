"""Rule files: every finding has a place, says what is expected, and suggests the remedy."""

# ruff: noqa: E501 - tables read better with one case a line

import pytest
import yaml

from ioc.geo.index import AreaIndex
from ioc.model.incidents import Clocks, Severity
from ioc.model.places import Area
from ioc.model.texts import Text
from ioc.rules import InvalidRules, compile_rules, load, parse_rules
from ioc.rules.rule import AreaChoice, SeverityStep

GOOD = """\
rule: jam
title: {vi: Ùn tắc, en: Jam}
stream: traffic
type: traffic.flow
where: speed_kmh < 20
hold: 1m
severity: high
"""


SEQUENCE = GOOD.replace("where: speed_kmh < 20\n", "")


def findings(text: str, index: AreaIndex | None = None) -> list[str]:
    try:
        load({"r.yaml": text}, index)
    except InvalidRules as invalid:
        return [str(error) for error in invalid.errors]
    return []


def edited(key: str, value: str | None) -> str:
    """Return GOOD with one line replaced, added or (None) taken away."""
    lines = [line for line in GOOD.splitlines() if not line.startswith(f"{key}:")]
    return "\n".join([*lines, *([] if value is None else [f"{key}: {value}"])]) + "\n"


def test_a_full_rule_is_read() -> None:
    text = """
# comment
rule: underpass-jam
title: {vi: Ùn tắc, en: Jam}
summary: {vi: "{value}", en: "{speed_kmh}"}
stream: traffic
type: [traffic.flow]
where: speed_kmh < 20.0 && occupancy > 0.35
area: {kind: underpass, code: [u1, u2]}
ward: [25747, "25750"]
by: [source, lane]
having: avg( speed_kmh )  <  20 within 5m
for: 3m
clear_when: speed_kmh > 30.0
hold: 1.5h
severity:
  - {at: 20, level: medium}
  - {at: 10, level: critical}
route: {category: traffic-jam}
clocks: {acknowledge: 5m, resolve: 2h}
enabled: false
"""
    rules, errors = parse_rules("r.yaml", text)
    assert errors == []
    rule = rules[0]
    assert (rule.name, rule.title, rule.types) == ("underpass-jam", Text("Ùn tắc", "Jam"), ("traffic.flow",))
    assert rule.having is not None
    assert (rule.having.text, rule.having.window_us) == ("avg( speed_kmh ) < 20 within 5m", 300_000_000)
    assert (rule.for_us, rule.hold_us) == (180_000_000, 5_400_000_000)
    assert rule.area == AreaChoice("underpass", ("u1", "u2"))
    assert rule.wards == {"25747", "25750"}
    assert rule.severity is Severity.MEDIUM
    assert rule.steps == (SeverityStep(Severity.MEDIUM, 20.0), SeverityStep(Severity.CRITICAL, 10.0))
    assert (rule.category, rule.clocks, rule.enabled) == ("traffic-jam", Clocks(300, 7200), False)
    assert [field.name for field in rule.by] == ["source", "lane"]


def test_defaults() -> None:
    rule = parse_rules("r.yaml", GOOD)[0][0]
    assert [field.name for field in rule.by] == ["source"]
    assert (rule.category, rule.enabled, rule.summary, rule.clocks) == ("traffic", True, None, Clocks())
    assert parse_rules("r", edited("type", None).replace("where: speed_kmh < 20", "where: lon > 1"))[0][
        0
    ].types == (
        "traffic.flow",
        "traffic.travel_time",
        "traffic.status",
        "traffic.situation",
    )
    assert parse_rules("r", edited("category", "noise"))[0][0].category == "noise"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (edited("colour", "red"), "r.yaml:8:1: unknown key 'colour' in the rule (known: rule, title, "),
        (edited("sevrity", "high"), "r.yaml:8:1: unknown key 'sevrity' in the rule (did you mean 'severity'?)"),
        (GOOD + "hold: 2m\n", "r.yaml:8:1: 'hold' is given twice (keep one of the two)"),
        (edited("rule", None), "r.yaml:1:1: 'rule' is missing"),
        (edited("rule", "Ùn tắc"), "r.yaml:7:7: rule: 'Ùn tắc' is not a name (use a-z, 0-9 and -"),
        (edited("title", None), "r.yaml:1:1: 'title' is missing (as in title: {vi: …, en: …})"),
        (edited("title", "Jam"), "r.yaml:7:8: title: expected a mapping (as in title: {vi: …})"),
        (edited("title", "{vi: a}"), "r.yaml:7:8: 'en' is missing"),
        (edited("title", "{vi: a, en: [b]}"), "r.yaml:7:20: en: expected one value"),
        (edited("title", "{vi: a, en: '{sped_kmh}'}"), "r.yaml:7:20: title: nothing is called {sped_kmh} (did you mean 'speed_kmh'?)"),
        (edited("words", "{a: {vi: b, en: c}}"), "r.yaml:8:8: words: neither title nor summary shows a field (a word stands for the value of a field, as {kind})"),
        (edited("words", "accident"), "r.yaml:8:8: words: expected a mapping (as in words: {accident: {vi: tai nạn, en: accident}})"),
        (edited("words", "{a: b}"), "r.yaml:8:12: a: expected a mapping (as in a: {vi: …})"),
        (edited("words", "{a: {vi: b}}"), "r.yaml:8:12: 'en' is missing"),
        (edited("words", "{a: {vi: b, en: c}, a: {vi: b, en: c}}"), "r.yaml:8:28: 'a' is given twice (keep one of the two)"),
        (edited("stream", None), "r.yaml:1:1: 'stream' is missing"),
        (edited("stream", "trafic"), "r.yaml:7:9: stream: 'trafic' is unknown (did you mean 'traffic'?)"),
        (edited("type", "traffic.flw"), "r.yaml:7:7: type: 'traffic.flw' is unknown (did you mean 'traffic.flow'?)"),
        (edited("type", "camera.count"), "r.yaml:7:7: type: camera.count is not of stream traffic"),
        (edited("type", "[[a]]"), "r.yaml:7:8: type: expected a value or a list of values"),
        (edited("where", "speed < 20"), "r.yaml:7:8: where: unknown field 'speed' in `speed < 20` (did you mean 'speed_kmh'?)"),
        (edited("where", "1 < 2 && speed < 20"), "r.yaml:7:17: where: unknown field 'speed'"),
        (edited("where", '"1 < 2 && speed < 20"'), "r.yaml:7:18: where: unknown field 'speed'"),
        (edited("where", "!online"), "r.yaml:7:8: where: a text that begins with ! is a YAML tag (quote it: where: '!…')"),
        (edited("where", "|\n  speed < 20"), "r.yaml:7:8: where: unknown field 'speed'"),
        (edited("where", "[1]"), "r.yaml:7:8: where: expected one value"),
        (edited("clear_when", "speed_kmh >"), "r.yaml:8:24: clear_when: expected a value, found the end"),
        (edited("by", "[sorce]"), "r.yaml:8:6: by: unknown field 'sorce' (did you mean 'source'?)"),
        (edited("by", "[]"), "r.yaml:8:5: by: the list is empty (as in by: [source])"),
        (edited("having", "three times"), "r.yaml:8:9: having: expected `function op number within duration` in `three times` (as in count >= 3 within 60s)"),
        (edited("having", "cont >= 3 within 60s"), "r.yaml:8:9: having: unknown function 'cont'"),
        (edited("having", "p96(speed_kmh) > 3 within 60s"), "r.yaml:8:9: having: unknown function 'p96' in `p96(speed_kmh) > 3 within 60s` (did you mean 'p95'?)"),
        (edited("having", "count == 0 within 60s"), "r.yaml:8:15: having: == never holds for long in `count == 0 within 60s` (silence is `absence: 5m`)"),
        (edited("having", "avg(speed_kmh) = 0 within 60s"), "r.yaml:8:24: having: = never holds for long"),
        (edited("having", "count >= x within 60s"), "r.yaml:8:18: having: expected a number, found 'x'"),
        (edited("having", "count >= inf within 60s"), "r.yaml:8:18: having: expected a number, found 'inf'"),
        (edited("having", "count(lane) >= 3 within 60s"), "r.yaml:8:15: having: count takes no argument"),
        (edited("having", "sum >= 3 within 60s"), "r.yaml:8:12: having: sum needs a field in `sum >= 3 within 60s` (as in sum(speed_kmh))"),
        (edited("having", "distinct() >= 3 within 60s"), "r.yaml:8:17: having: distinct needs a field"),
        (edited("having", "sum(sped_kmh) >= 3 within 60s"), "r.yaml:8:13: having: unknown field 'sped_kmh'"),
        (edited("having", "sum(lane) >= 3 within 60s"), "r.yaml:8:13: having: sum needs a number, found text"),
        (edited("having", "count >= 3 within 60"), "r.yaml:8:27: having: expected a duration such as 90s, 5m or 2h, found '60'"),
        (edited("having", "count >= 3 within 25h"), "r.yaml:8:27: having: a window is between 1 s and 24 h"),
        (edited("having", "count >= 3 within 10ms"), "r.yaml:8:27: having: a window is between 1 s and 24 h"),
        (edited("having", "rate(lane) >= 3 within 60s"), "r.yaml:8:14: having: rate takes no argument"),
        (edited("having", "count >= 3 within 60s tumblin"), "r.yaml:8:27: having: expected a duration such as 90s, 5m or 2h, found '60s tumblin'"),
        (edited("having", "count >= 3 within 60s, at least 3"), "r.yaml:8:41: having: count is itself a number of events"),
        (edited("having", "p95(speed_kmh) >= 3 within 60s, at least 501"), "r.yaml:8:50: having: expected 1 to 500 events, found '501'"),
        (edited("having", "avg(speed_kmh) >= 3 within 60s tumbling, at least few"), "r.yaml:8:59: having: expected 1 to 100000 events, found 'few'"),
        (SEQUENCE + "sequence: {steps: [speed_kmh > 2], within: 9s}", "r.yaml:7:19: steps: a sequence has 2 to 8, found 1"),
        (SEQUENCE + "sequence: {steps: [speed_kmh > 2, sped_kmh < 1], within: 9s}", "r.yaml:7:35: steps: unknown field 'sped_kmh' in `sped_kmh < 1` (did you mean 'speed_kmh'?)"),
        (SEQUENCE + "sequence: {steps: [[a], true], within: 9s}", "r.yaml:7:20: steps: expected a condition"),
        (SEQUENCE + "sequence: {steps: [{type: traffic.status, where: online}, 'true'], within: 9s}", "r.yaml:7:27: type: 'traffic.status' is not a type of the rule (did you mean"),
        (SEQUENCE + "sequence: {steps: [{type: traffic.flow}, 'true'], within: 9s}", "r.yaml:7:20: 'where' is missing"),
        (SEQUENCE + "sequence: {steps: ['true', 'true']}", "r.yaml:7:11: 'within' is missing"),
        (SEQUENCE + "sequence: {steps: ['true', 'true'], within: 9}", "r.yaml:7:45: within: expected a duration"),
        (SEQUENCE + "sequence: {steps: ['true', 'true'], within: 25h}", "r.yaml:7:45: within: between 1 s and 24 h"),
        (SEQUENCE + "sequence: {steps: flow, within: 9s}", "r.yaml:7:19: steps: expected a list of conditions"),
        (SEQUENCE.replace("hold: 1m\n", "") + "sequence: {steps: ['true', 'true'], within: 9s}", "r.yaml:1:1: the incident would never end (give hold: 60s"),
        (edited("sequence", "{steps: ['true', 'true'], within: 9s}"), "r.yaml:5:8: where: cannot be combined with sequence (write it into the pattern)"),
        (SEQUENCE + "fence: {when: enter, area: {kind: zoo}}", "r.yaml:7:15: when: 'enter' is not a transition (did you mean 'enters'?; as in dwells 90s)"),
        (SEQUENCE + "fence: {when: enters}", "r.yaml:7:8: 'area' is missing (as in area: {kind: underpass})"),
        (SEQUENCE + "fence: {area: {kind: zoo}}", "r.yaml:7:8: 'when' is missing"),
        (SEQUENCE + "fence: {when: enters, area: {}}", "r.yaml:7:29: area: needs kind or code"),
        (SEQUENCE + "fence: {when: dwells soon, area: {kind: zoo}}", "r.yaml:7:15: when: expected a duration"),
        (SEQUENCE + "fence: {when: dwells 10m, area: {kind: zoo}}", "r.yaml:7:15: when: a subject dwells at least 1 s, and less than `lost`"),
        (SEQUENCE + "fence: {when: enters, area: {kind: zoo}, initial: inside}", "r.yaml:7:51: initial: 'inside' is unknown (known: unknown, outside)"),
        (SEQUENCE + "fence: {when: enters, area: {kind: zoo}, margin_m: -1}", "r.yaml:7:52: margin_m: expected 0 to 1000 metres, found '-1'"),
        (SEQUENCE + "fence: {when: enters, area: {kind: zoo}}", "r.yaml:7:8: fence: no areas are loaded"),
        (SEQUENCE + "area: {kind: a}\nfence: {when: enters, area: {kind: zoo}}", "r.yaml:7:7: area: cannot be combined with fence (write it into fence)"),
        (SEQUENCE.replace("hold: 1m\n", "") + "fence: {when: leaves, area: {kind: zoo}}", "r.yaml:1:1: the incident would never end"),
        (GOOD + "near: {stream: feedbak, metres: 300, within: 15m}", "r.yaml:8:16: stream: 'feedbak' is unknown (did you mean 'feedback'?)"),
        (GOOD + "near: {stream: feedback, within: 15m}", "r.yaml:8:7: 'metres' is missing"),
        (GOOD + "near: {stream: feedback, metres: 9000, within: 15m}", "r.yaml:8:34: metres: expected 1 to 5000 metres, found '9000'"),
        (GOOD + "near: {stream: feedback, metres: 90}", "r.yaml:8:7: 'within' is missing"),
        (GOOD + "near: {stream: feedback, type: traffic.flow, metres: 90, within: 9s}", "r.yaml:8:32: type: 'traffic.flow' is not a type of the rule"),
        (GOOD + "near: {stream: feedback, where: speed_kmh > 1, metres: 90, within: 9s}", "r.yaml:8:33: where: unknown field 'speed_kmh'"),
        (GOOD + "by: lane\nnear: {stream: feedback, metres: 90, within: 9s}", "r.yaml:8:5: by: lane is not of both streams (source, ward or subject)"),
        (GOOD + "for: 9s\nnear: {stream: feedback, metres: 90, within: 9s}", "r.yaml:8:6: for: cannot be combined with near"),
        (edited("having", "ewma_z(speed_kmh) <= -4 within 1h tumbling"), "r.yaml:8:43: having: ewma_z slides"),
        (edited("having", "count >= 3 within 1h, after 5m"), "r.yaml:8:37: having: count has nothing to learn"),
        (edited("having", "ewma_z(speed_kmh) <= -4 within 1h, after 25h"), "r.yaml:8:50: having: after: longer than 24 h"),
        (edited("having", "ewma_z(speed_kmh) <= -4 within 1h, after noon"), "r.yaml:8:50: having: expected a duration"),
        (edited("having", "ewma_z <= -4 within 1h"), "r.yaml:8:15: having: ewma_z needs a field"),
        (edited("having", "ewma_z(speed_kmh) <= -4 within 1h") + "for: 9s\n", "r.yaml:9:6: for: cannot be combined with ewma_z"),
        (edited("hold", None) + "having: ewma_z(speed_kmh) <= -4 within 1h\n", "r.yaml:1:1: the incident would never end"),
        (edited("cooldown", "soon"), "r.yaml:8:11: cooldown: expected a duration"),
        (edited("late", "keep"), "r.yaml:8:7: late: 'keep' is unknown (known: drop, amend)"),
        (edited("hold", None) + "absence: 9s\ncooldown: 9s\n", "r.yaml:8:11: cooldown: cannot be combined with absence"),
        (edited("hold", "60"), "r.yaml:7:7: hold: expected a duration such as 90s, 5m or 2h, found '60' (write 60s)"),
        (edited("having", "avg(speed_kmh) >= 3 within 60s, at least ²"), "r.yaml:8:50: having: expected 1 to 100000 events, found '²'"),
        (edited("having", f"avg(speed_kmh) >= 3 within 60s, at least {'9' * 5000}"), "r.yaml:8:50: having: expected 1 to 100000 events"),
        (edited("hold", f"{'9' * 400}s"), "r.yaml:7:7: hold: expected a duration such as 90s, 5m or 2h"),
        (edited("for", "a while"), "r.yaml:8:6: for: expected a duration such as 90s, 5m or 2h, found 'a while'"),
        (edited("for", "200h"), "r.yaml:8:6: for: longer than 168 h"),
        (edited("hold", None), "r.yaml:1:1: the incident would never end (give hold: 60s"),
        (edited("where", None), "r.yaml:1:1: nothing is asked of the events (give where, having or absence)"),
        (edited("absence", "90s"), "r.yaml:6:7: hold: cannot be combined with absence"),
        (edited("hold", None) + "absence: 2s\n", "r.yaml:7:10: absence: shorter than 5 s"),
        (edited("severity", "urgent"), "r.yaml:7:11: severity: 'urgent' is unknown (known: critical, high, medium, low)"),
        (edited("severity", None), "r.yaml:1:1: 'severity' is missing"),
        (edited("severity", "[{at: 1, level: low}]"), "r.yaml:7:11: severity: thresholds need `having`"),
        (edited("severity", "[low]") + "having: count >= 1 within 9s\n", "r.yaml:7:12: severity: expected a step (as in {at: 60, level: medium})"),
        (edited("severity", "[{at: x, level: low}]") + "having: count >= 1 within 9s\n", "r.yaml:7:17: at: expected a number, found 'x'"),
        (edited("severity", "[{level: low}]") + "having: count >= 1 within 9s\n", "r.yaml:7:12: 'at' is missing"),
        (edited("severity", "[{at: 2, level: low}, {at: 1, level: high}]") + "having: count >= 1 within 9s\n", "r.yaml:7:33: severity: steps must rise together with having's >="),
        (edited("severity", "[{at: 1, level: high}, {at: 2, level: low}]") + "having: count >= 1 within 9s\n", "r.yaml:7:34: severity: steps must rise"),
        (edited("category", "Giao thông"), "r.yaml:8:11: category: 'Giao thông' is not a name"),
        (edited("route", "{team: a}"), "r.yaml:8:9: unknown key 'team' in route (known: category)"),
        (edited("clocks", "{acknowledge: soon}"), "r.yaml:8:23: acknowledge: expected a duration"),
        (edited("enabled", "maybe"), "r.yaml:8:10: enabled: expected true or false, found 'maybe'"),
        (edited("area", "{}"), "r.yaml:8:7: area: needs kind or code (as in area: {kind: underpass})"),
        (edited("area", "{kind: ward}"), "r.yaml:8:7: area: no areas are loaded (import them first: ioc areas import)"),
        ("- just a text\n", "r.yaml:1:3: expected a rule (a mapping of keys) (begin with `rule: a-name`)"),
        ("rule: [", "r.yaml:1:8: not YAML: "),
        ("where: a: b", "r.yaml:1:9: not YAML: mapping values are not allowed here (quote texts that hold `: ` or `#`)"),
        ("\trule: a", "r.yaml:1:1: not YAML: found character '\\t' that cannot start any token (indent with spaces)"),
        ("rule: \x00", "r.yaml:1:1: not YAML: "),
        ("? [a]\n: b\n", "r.yaml:1:3: unknown key None in the rule"),
    ],
)  # fmt: skip
def test_findings(text: str, expected: str) -> None:
    found = findings(text)
    assert any(line.startswith(expected) for line in found), found


def test_findings_are_collected_over_all_files_in_order() -> None:
    files = {"b.yaml": edited("stream", "x") + "colour: red\n", "a.yaml": edited("hold", "1"), "c.yaml": GOOD}
    with pytest.raises(InvalidRules) as caught:
        load(files)
    assert [(error.file, error.line) for error in caught.value.errors] == [
        ("a.yaml", 7),
        ("b.yaml", 7),
        ("b.yaml", 8),
    ]


def test_a_file_may_hold_several_rules_and_none() -> None:
    other = GOOD.replace("rule: jam", "rule: jam-2")
    assert [r.name for r in parse_rules("r", f"{GOOD}---\n{other}---\n")[0]] == ["jam", "jam-2"]
    listed = yaml.safe_dump([yaml.safe_load(GOOD), yaml.safe_load(other)], allow_unicode=True)
    assert [r.name for r in parse_rules("r", listed)[0]] == ["jam", "jam-2"]
    assert parse_rules("r", "") == ([], [])
    assert parse_rules("r", "# nothing\n---\n") == ([], [])


def test_names_are_unique_and_rules_few() -> None:
    with pytest.raises(
        InvalidRules, match=r"b:1:7: rule 'jam' exists already at a:1 \(choose another name\)"
    ):
        load({"a": GOOD, "b": GOOD})
    with pytest.raises(InvalidRules, match="b:1:7: more than 1 rules"):
        load({"a": GOOD, "b": GOOD.replace("jam", "jam-2")}, max_rules=1)


def test_errors_of_files_and_of_binding_come_together() -> None:
    with pytest.raises(InvalidRules) as caught:
        load({"a": edited("colour", "red"), "b": edited("area", "{kind: ward}")})
    assert len(caught.value.errors) == 2


# binding ----------------------------------------------------------------------------------------------------


def square(code: str, kind: str) -> Area:
    ring = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
    return Area(
        code=code, kind=kind, name=Text(code, code), geometry={"type": "Polygon", "coordinates": [ring]}
    )


LINE = Area(
    code="r1",
    kind="road",
    name=Text("r", "r"),
    geometry={"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
)
INDEX = AreaIndex([square("25747", "ward"), square("25750", "ward"), square("u1", "underpass"), LINE])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "area: {kind: underpas}",
            "r.yaml:8:7: area: no area of kind 'underpas' (did you mean 'underpass'?)",
        ),
        ("area: {kind: zoo}", "r.yaml:8:7: area: no area of kind 'zoo' (known: road, underpass, ward)"),
        ("area: {kind: underpass, code: u2}", "r.yaml:8:7: area: no area of code 'u2' (known: u1)"),
        ("area: {kind: road}", "r.yaml:8:7: area: the areas chosen have no surface (lines contain no point)"),
        ("ward: 25748", "r.yaml:8:7: ward: no ward '25748' (did you mean '257"),
        ("ward: [25747, 11111]", "r.yaml:8:7: ward: no ward '11111'"),
    ],
)
def test_areas_and_wards_must_exist(line: str, expected: str) -> None:
    assert [found[: len(expected)] for found in findings(GOOD + line + "\n", INDEX)] == [expected]


def test_areas_are_bound_and_wards_unchecked_without_an_index() -> None:
    program = load({"r.yaml": GOOD + "area: {code: u1}\nward: 25747\n"}, INDEX)
    fence = program.rules[0].fence
    assert fence is not None
    assert fence.codes == ("u1",)
    assert findings(GOOD + "ward: 99\n") == []
    assert findings(GOOD + "ward: 99\n", AreaIndex([])) == []


# versions ---------------------------------------------------------------------------------------------------


def test_a_disabled_rule_is_checked_and_listed_but_not_run() -> None:
    program = load({"r.yaml": GOOD + "enabled: false\n"})
    assert (program.rules, program.by_type) == ((), {})
    assert [rule.name for rule in program.declared] == ["jam"]


def test_versions_follow_content_and_shapes_follow_meaning() -> None:
    def of(text: str) -> tuple[str, str, str]:
        program = load({"r.yaml": text})
        rule = program.rules[0].rule
        return rule.version, rule.shape, program.version

    base = of(GOOD)
    assert of("# a comment\n" + GOOD) == base
    threshold = of(GOOD.replace("20", "25"))
    assert threshold[0] != base[0]
    assert threshold[1] == base[1]
    assert threshold[2] != base[2]
    assert of(GOOD + "by: [ward]\n")[1] != base[1]
    windowed = of(GOOD + "having: count >= 3 within 60s\n")
    assert windowed[1] != base[1]
    assert of(GOOD + "having: count >= 4 within 60s\n")[1] == windowed[1]
    assert of(GOOD + "having: count >= 3 within 61s\n")[1] != windowed[1]


def test_the_program_follows_its_areas() -> None:
    text = {"r.yaml": GOOD + "area: {kind: underpass}\n"}
    moved = square("u1", "underpass")
    moved.geometry["coordinates"][0][1][0] = 2
    assert load(text, INDEX).version != load(text, AreaIndex([moved])).version
    assert compile_rules(load(text, INDEX).declared, INDEX).version == load(text, INDEX).version
