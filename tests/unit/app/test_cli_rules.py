"""`ioc rules test`: exit codes, the report as JSON, and files that cannot be played."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ioc.app.cli.rules import app

RULE = """
rule: slow
title: {vi: Chậm, en: Slow}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
area: {kind: underpass}
hold: 30s
severity: high
"""
TESTS = """
areas: places.geojson
tests:
  - name: a slow one
    input:
      - {event: traffic.flow, at: 10s, source: d, lon: 106.65, lat: 11.05, data: {speed_kmh: 12}}
      - {event: traffic.flow, at: 10s, source: outside, lon: 106.75, lat: 11.05, data: {speed_kmh: 12}}
    expect:
      - {at: 10s, raised: slow, key: d}
      - {at: 42s, cleared: slow, key: d}
"""
PLACES = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"code": "u1", "kind": "underpass", "name": "Hầm"},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[106.6, 11.0], [106.7, 11.0], [106.7, 11.1], [106.6, 11.1], [106.6, 11.0]]],
            },
        }
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "slow.yaml").write_text(RULE, "utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "slow.yaml").write_text(TESTS, "utf-8")
    (tmp_path / "tests" / "places.geojson").write_text(json.dumps(PLACES), "utf-8")
    return tmp_path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["test", *map(str, arguments)])
    return result.exit_code, result.stdout


def test_tests_that_hold_exit_with_zero(folder: Path) -> None:
    code, out = run(folder)
    assert code == 0
    assert "1 passed, 0 failed in 1 files" in out
    assert run(folder / "tests" / "slow.yaml")[0] == 0


def test_a_broken_threshold_exits_with_one_and_names_the_lines(folder: Path) -> None:
    (folder / "slow.yaml").write_text(RULE.replace("< 15", "< 12"), "utf-8")
    code, out = run(folder)
    assert code == 1
    assert "slow.yaml:4: a slow one" in out
    assert "-    line 9  10s raised slow key d   ← did not happen" in out
    code, out = run(folder, "--json")
    report = json.loads(out)
    assert (code, report["passed"], report["failed"]) == (1, 0, 1)
    assert report["files"][0]["tests"][0]["difference"][0].endswith("did not happen")


def test_rules_without_tests_are_named(folder: Path) -> None:
    (folder / "other.yaml").write_text(RULE.replace("rule: slow", "rule: other"), "utf-8")
    code, out = run(folder, "--json")
    assert (code, json.loads(out)["untested"]) == (0, ["other.yaml"])


def test_coverage_names_the_lines_of_the_rule_that_no_test_guards(folder: Path) -> None:
    code, out = run(folder, "--coverage")
    assert code == 1
    assert "slow.yaml:6:18: <= for < in `speed_kmh < 15`" in out
    assert "late: no test holds an event that arrives late, behind the watermark," in out
    code, out = run(folder, "--coverage", "--json")
    (file,) = json.loads(out)["coverage"]
    (rule,) = file["rules"]
    assert (code, rule["rule"], rule["complete"], rule["changes"]) == (1, "slow", False, 5)
    assert rule["missing"].keys() == {"boundary", "late", "out of order", "duplicate"}
    assert rule["unnoticed"][0] == {
        "line": 6,
        "column": 18,
        "condition": "speed_kmh < 15",
        "written": "<",
        "changed": "<=",
    }


def test_coverage_of_tests_that_fail_is_not_judged(folder: Path) -> None:
    (folder / "slow.yaml").write_text(RULE.replace("< 15", "< 12"), "utf-8")
    code, out = run(folder, "--coverage", "--json")
    assert (code, json.loads(out)["coverage"]) == (1, None)


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("slow.yaml", RULE.replace("speed_kmh", "speed"), "unknown field 'speed'"),
        ("slow.yaml", RULE.replace("underpass", "tunnel"), "no area of kind 'tunnel'"),
        ("tests/slow.yaml", "tests: [", "not YAML"),
        ("tests/slow.yaml", "tests: []", "no tests here"),
        ("tests/slow.yaml", TESTS.replace("places", "absent"), "absent.geojson"),
        ("tests/places.geojson", "{}", "expected a FeatureCollection"),
        ("tests/other.yaml", "tests: [{name: n, expect: []}]", "other.yaml"),
    ],
)
def test_a_file_that_cannot_be_played_fails_and_the_others_go_on(
    folder: Path, name: str, text: str, error: str
) -> None:
    (folder / "fine.yaml").write_text(RULE.replace("rule: slow", "rule: fine"), "utf-8")
    (folder / "tests" / "fine.yaml").write_text(
        f"areas: [{{kind: underpass, code: a, box: [1, 2, 3, 4]}}]\n{'tests: [{name: n, expect: []}]'}",
        "utf-8",
    )
    (folder / name).write_text(text, "utf-8")
    code, out = run(folder, "--json")
    report = json.loads(out)
    assert code == 1
    assert any(error in found for file in report["files"] for found in file["errors"])
    assert report["passed"] >= 1
