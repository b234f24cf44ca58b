"""Boards and alerts: every figure they use exists, every query parses, alerts fire when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ioc.app.pages.metrics import known_metrics

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "dashboards" / "prometheus"
GRAFANA = ROOT / "dashboards" / "grafana"
BOARDS = sorted((GRAFANA / "boards").glob("*.json"))
ALERTS = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PROMTOOL = shutil.which("promtool") or "promtool"
SERIES = {name: metric for metric in known_metrics() for name in metric.series}


def load(board: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(board.read_text("utf-8"))
    return found


def queries() -> list[str]:
    """Return every query of boards and alerts."""
    panels = [panel for board in BOARDS for panel in load(board)["panels"]]
    return [target["expr"] for panel in panels for target in panel["targets"]] + [
        rule["expr"] for rule in RULES
    ]


def promtool(*arguments: str, cwd: Path = ROOT) -> None:
    done = subprocess.run([PROMTOOL, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_something_to_look_at() -> None:
    assert [board.stem for board in BOARDS] == ["feed", "pipeline", "rules", "store"]
    assert len(queries()) > 40


@pytest.mark.parametrize("query", queries())
def test_every_figure_exists_with_the_labels_asked_for(query: str) -> None:
    names = re.findall(r"\bioc_\w+", query)
    assert set(names) <= SERIES.keys()
    # Labels of ours in a selector must be the metric's; `up` and the process figures have Prometheus' own.
    for name, selector in re.findall(r"\b(ioc_\w+)\{([^}]*)\}", query):
        assert set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector)) <= {*SERIES[name].labels}
    for by in re.findall(r"by \(([^)]*)\)", query):
        given = {label for name in names for label in SERIES[name].labels} | {"le", "instance", "role"}
        assert {label.strip() for label in by.split(",")} <= given


def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries())]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), "utf-8")
    promtool("check", "rules", str(path))


def test_prometheus_takes_the_configuration_and_alerts_fire_when_they_should() -> None:
    promtool("check", "config", "--syntax-only", "prometheus.yml", cwd=PROMETHEUS)
    promtool("check", "rules", "alerts.yml", cwd=PROMETHEUS)
    promtool("test", "rules", "alerts_test.yml", cwd=PROMETHEUS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_alert_speaks_both_languages_and_leads_to_its_line_of_the_manual(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    notes = rule["annotations"]
    assert notes.keys() == {"summary", "summary_vi", "runbook"}
    assert re.search(r"[à-ỹđ]", notes["summary_vi"]), "Vietnamese is written with its marks"
    assert notes["summary"].isascii()
    path, _, anchor = notes["runbook"].partition("#")
    severity = rule["labels"]["severity"]
    line = f'| <a id="{anchor}"></a>`{rule["alert"]}` | {severity} |'
    assert (ROOT / path).read_text("utf-8").count(line) == 1


@pytest.mark.parametrize("alert", [rule["alert"] for rule in RULES])
def test_each_alert_is_shown_to_fire_and_to_keep_quiet(alert: str) -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text("utf-8"))["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"] if check["alertname"] == alert]
    assert any(check.get("exp_alerts") for check in checks), "no test sees it fire"
    assert any(not check.get("exp_alerts") for check in checks), "no test sees it keep quiet"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.stem))
def test_boards_have_the_shape_that_grafana_expects(board: Path) -> None:
    found = load(board)
    sources = yaml.safe_load(
        (GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text("utf-8")
    )
    uid = sources["datasources"][0]["uid"]
    assert found["schemaVersion"] >= 36
    assert found["uid"] == f"ioc-{board.stem}"
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in found["panels"]}
    assert len(places) == len(found["panels"]), "no panel lies on another"
    for panel in found["panels"]:
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": uid}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["datasource"]["uid"] == uid for target in panel["targets"])


def test_boards_have_different_names() -> None:
    assert len({load(board)["uid"] for board in BOARDS}) == len(BOARDS)
    assert len({load(board)["title"] for board in BOARDS}) == len(BOARDS)
