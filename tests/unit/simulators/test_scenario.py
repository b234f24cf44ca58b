"""Scenario files: refused with file and line, resolved against the fleet, looped without end."""

from pathlib import Path

import pytest

from simulators.fleet import Fleet, Unit
from simulators.scenario import (
    Kind,
    ScenarioError,
    Script,
    load_scenario,
    named_scenario,
    parse_scenario,
    shipped_names,
)
from simulators.times import SECOND_US
from tests.unit.simulators.conftest import START_US

HEAD = "scenario: test\ntitle: {vi: Thử, en: Test}\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("scenario: [", 1, "expected"),
        (HEAD, 1, "missing required field `steps`"),
        (HEAD + "steps: []\n", 3, "at least one step"),
        (HEAD + "steps:\n  - {at: soon, duration_s: 5, kind: crowd, area: a}\n", 4, "Expected `float`"),
        (HEAD + "steps:\n  - at: 1\n    duration_s: 5\n    kind: snow\n    area: a\n", 6, "one of: congestion"),  # noqa: E501
        (HEAD + "steps:\n  - {at: 1, duration_s: 5, kind: crowd}\n", 4, "exactly one of"),
        (HEAD + "steps:\n  - at: 1\n    lasts: 5\n    duration_s: 5\n    kind: crowd\n", 5, "unknown field"),
        (HEAD + "steps:\n  - {at: 1, duration_s: 5, kind: flood_report, area: a}\n", 4, "use ward"),
        (HEAD + "steps:\n  - {at: -1, duration_s: 5, kind: crowd, area: a}\n", 4, "0 or more"),
        (HEAD + "steps:\n  - {at: 1, duration_s: 0, kind: crowd, area: a}\n", 4, "above 0"),
        (HEAD + "loop_s: 9\nsteps:\n  - {at: 1, duration_s: 10, kind: crowd, area: a}\n", 5, "outlast"),
        (HEAD + "steps:\n  - at: 1\n    duration_s: 5\n    kind: fire_smoke\n    area: a\n    confidence: 2\n", 8, "fraction"),  # noqa: E501
        (HEAD + "steps:\n  - at: 1\n    duration_s: 5\n    kind: crowd\n    area: a\n    missed: 0\n", 8, "crowd takes people"),  # noqa: E501
        (HEAD + "steps:\n  - at: 1\n    duration_s: 5\n    kind: rain\n    area: a\n", 7, "whole city"),
        (HEAD + "steps:\n  - at: 1\n    duration_s: 5\n    kind: clock_drift\n    ward: a\n", 7, "use source"),  # noqa: E501
        (HEAD + "steps:\n  - at: 1\n    duration_s: 5\n    kind: crowd\n    sorce: a\n", 7, "did you mean source"),  # noqa: E501
        (HEAD + "steps:\n  - at: 1\n    duration_s: 5\n    kind: false_alarm\n    alarm: noise\n", 7, "one of: wrong_way"),  # noqa: E501
        (HEAD + "start: 7 o'clock\nsteps:\n  - {at: 1, duration_s: 5, kind: crowd, area: a}\n", 3, "RFC 3339"),  # noqa: E501
        (HEAD + "duration_s: 0\nsteps:\n  - {at: 1, duration_s: 5, kind: crowd, area: a}\n", 3, "duration_s is 1"),  # noqa: E501
        (HEAD + "steps:\n  - at: 1\n    duration_s: 5\n    kind: flood_report\n    ward: a\n    reports: 9999\n", 8, "1,000 at most"),  # noqa: E501
        (HEAD + "steps:\n  - {at: 5, duration_s: 99, kind: camera_silent, source: a}\n", 4, "must speak"),
        (HEAD + "start: 2026-13-45\nsteps:\n  - {at: 1, duration_s: 5, kind: rain}\n", 3, "month must be"),
        (HEAD + "steps:\n  - {at: .nan, duration_s: 5, kind: rain}\n", 4, "at is a number"),
        (HEAD + "steps:\n  - {at: 1, duration_s: .inf, kind: rain}\n", 4, "duration_s is a number"),
        (HEAD + "steps:\n  - {at: 1, duration_s: 5, kind: count_drift, source: a, factor: .inf}\n", 4, "factor is a number"),  # noqa: E501
        (HEAD + "steps:\n  - {at: 1, duration_s: 5, kind: clock_drift, source: a, seconds: 1.0e+12}\n", 4, "seconds is a number"),  # noqa: E501
        (HEAD + "loop_s: 0.001\nsteps:\n  - {at: 1, duration_s: 0.001, kind: rain}\n", 3, "loop_s is 1"),
        (HEAD + "loop_s: .nan\nsteps:\n  - {at: 1, duration_s: 5, kind: rain}\n", 3, "loop_s is 1"),
        (HEAD + "steps: &a\n  - *a\n", 4, "aliases (*a) are not taken"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "x.yaml")
    assert str(caught.value).startswith(f"x.yaml:{line}:")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"), [(b"\xff", "not UTF-8"), (b"a: \0", "not YAML"), (b"[" * 5_000, "without end")]
)
def test_a_file_that_is_no_text_or_no_end_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=words):
        load_scenario(path)


def test_lists_that_stand_for_more_than_fits_into_memory_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{level}: &a{level} [{', '.join(f'*a{level - 1}' for _ in range(9))}]" for level in range(1, 30)
    ]
    with pytest.raises(ScenarioError, match=r"x\.yaml:2: YAML aliases"):
        parse_scenario("\n".join(lines), "x.yaml")


def test_a_name_that_is_none_lists_those_there_are() -> None:
    with pytest.raises(ScenarioError, match=r"rush-hour: there is no such file.*morning-rush"):
        named_scenario("rush-hour")


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_scenarios_fit_the_demo_city(name: str, fleet: Fleet) -> None:
    Script(named_scenario(name), fleet, START_US)


def test_a_place_that_does_not_exist_is_named(fleet: Fleet) -> None:
    text = HEAD + "steps:\n  - {at: 1, duration_s: 5, kind: crowd, source: cam-00000-01}\n"
    with pytest.raises(ScenarioError, match=r"step 1 .crowd.*no camera for 'cam-00000-01'"):
        Script(parse_scenario(text, "x"), fleet, START_US)


def test_citizens_do_not_report_from_a_ward_without_a_camera() -> None:
    lone = Fleet([Unit("det-1", "detector", "d", "1", 106.6, 11.0)])
    text = HEAD + "steps:\n  - {at: 1, duration_s: 5, kind: flood_report, ward: '1'}\n"
    with pytest.raises(ScenarioError, match="no ward with a camera for '1'"):
        Script(parse_scenario(text, "x.yaml"), lone, START_US)


def test_rounds_take_the_listed_places_in_turn_and_reach_into_the_next(fleet: Fleet) -> None:
    text = HEAD + (
        "loop_s: 60\nsteps:\n"
        "  - {at: 50, duration_s: 30, kind: wrong_way, source: [cam-25747-01, cam-25747-02]}\n"
    )
    script = Script(parse_scenario(text, "x"), fleet, START_US)

    def at(second: float) -> list[tuple[str, int]]:
        moment_us = START_US + round(second * SECOND_US)
        return [(item.target, item.round) for item in script.between(moment_us, moment_us + 1)]

    assert at(40) == []
    assert at(55) == [("cam-25747-01", 0)]
    assert at(70) == [("cam-25747-01", 0)]
    assert at(115) == [("cam-25747-02", 1)]
    assert at(60 * 1000 + 55) == [("cam-25747-01", 1000)]


def test_an_area_means_its_own_detector_or_camera(fleet: Fleet) -> None:
    text = HEAD + (
        "steps:\n  - {at: 0, duration_s: 9, kind: congestion, area: underpass-01}\n"
        "  - {at: 0, duration_s: 9, kind: crowd, area: underpass-01}\n"
    )
    targets = [item.target for item in Script(parse_scenario(text, "x"), fleet, 0).between(0, SECOND_US)]
    assert [fleet.units[target].kind for target in targets] == ["detector", "camera"]
    assert {kind.value for kind in Kind} >= {"congestion", "crowd"}
