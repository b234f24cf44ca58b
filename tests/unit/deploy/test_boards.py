"""Boards and provisioning files against Grafana's own schema: what it would drop or refuse is found here."""

import json
import typing
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from pydantic import ConfigDict, TypeAdapter, ValidationError

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "dashboards" / "grafana"
BOARDS = sorted((GRAFANA / "boards").glob("*.json"))
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
PANEL = {"type": "timeseries"}


def faults(board: dict[str, Any]) -> list[str]:
    """Return what Grafana's schema does not have (it is dropped) and what has another type than it says."""
    register_default_plugins()
    try:
        found = Dashboard.from_json(board)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return [f"not a dashboard: {error}"]
    return list(_lost(board, json.loads(JSONEncoder().encode(found)), "$")) + list(_mistyped(found, "$"))


def _lost(given: Any, kept: Any, path: str) -> typing.Iterator[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from _lost(value, kept.get(name), f"{path}.{name}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (value, other) in enumerate(zip(given, kept, strict=True)):
            yield from _lost(value, other, f"{path}[{number}]")
    elif given != kept:
        yield f"{path}: unknown or changed: {given!r}"


def _mistyped(node: Any, path: str) -> typing.Iterator[str]:
    if isinstance(node, list):
        for number, value in enumerate(node):
            yield from _mistyped(value, f"{path}[{number}]")
    if isinstance(node, Enum) or not type(node).__module__.startswith("grafana_foundation_sdk.models"):
        return
    for name, value in vars(node).items():
        hint = typing.get_type_hints(type(node))[name]
        # The SDK leaves a choice as the JSON has it; everything else must be of its very type.
        choice = any(
            isinstance(one, type) and issubclass(one, Enum) for one in typing.get_args(hint) or [hint]
        )
        kind = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
        try:
            kind.validate_python(value, strict=not choice)
        except ValidationError as error:
            yield f"{path}.{name}: {error.errors()[0]['msg']}"
        yield from _mistyped(value, f"{path}.{name}")


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.stem))
def test_grafana_knows_everything_a_board_says(board: Path) -> None:
    assert faults(json.loads(board.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"time": {"from": "now-1h", "until": "now"}}, "$.time.until: unknown"),
        ({"schemaVersion": "39"}, "$.schema_version: "),
        ({"graphTooltip": 7}, "$.graph_tooltip: "),
        ({"panels": [PANEL | {"options": {"legend": {"displayMode": "l"}}}]}, "$.panels[0].options.legend"),
        ({"panels": [PANEL | {"gridPos": {"h": 8, "w": "12", "x": 0, "y": 0}}]}, "$.panels[0].grid_pos.w"),
        ({"panels": [PANEL | {"fieldConfig": {"defaults": {"custom": {"width": 1}}}}]}, "$.panels[0].field"),
        ({"panels": 7}, "not a dashboard: "),
    ],
)
def test_a_board_that_grafana_would_not_take_is_noticed(change: dict[str, Any], fault: str) -> None:
    board = json.loads(BOARDS[0].read_text("utf-8"))
    assert any(found.startswith(fault) for found in faults(board | change)), faults(board | change)


def test_what_is_provisioned_is_where_compose_puts_it() -> None:
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["./dashboards/grafana/provisioning"] == "/etc/grafana/provisioning"
    (providers,) = (GRAFANA / "provisioning" / "dashboards").iterdir()
    (provider,) = yaml.safe_load(providers.read_text("utf-8"))["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == mounts["./dashboards/grafana/boards"]
    (sources,) = (GRAFANA / "provisioning" / "datasources").iterdir()
    (source,) = yaml.safe_load(sources.read_text("utf-8"))["datasources"]
    assert (source["type"], source["access"], source["isDefault"]) == ("prometheus", "proxy", True)
    # The service of compose.yaml, on the port that Prometheus listens on by default.
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in SERVICES
    assert all(document["apiVersion"] == 1 for document in map(_document, (providers, sources)))


def _document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found
