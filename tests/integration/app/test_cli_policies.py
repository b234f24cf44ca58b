"""`ioc policies …` and `ioc forecast` against a real database."""

import json
from pathlib import Path

from ioc.incidents.policies import POLICIES
from tests.integration.app.test_cli import SQUARE, Ioc, geojson, ioc, with_ward

__all__ = ["ioc", "with_ward"]


def write(name: str, text: str) -> str:
    Path(name).write_text(text, "utf-8")
    return name


def test_a_policy_that_is_shown_can_be_changed_and_pushed(ioc: Ioc) -> None:
    code, shown, _ = ioc("policies", "show", "grouping")
    assert code == 0
    assert "metres: 150" in shown, "the shipped values are there to be changed"
    file = write("grouping.yaml", shown.replace("enabled: true", "enabled: false"))
    code, out, _ = ioc("policies", "push", "grouping", file, "--reason", "diễn tập", "--json")
    assert (code, json.loads(out)) == (0, {"policy": "grouping", "version": 1})
    now = json.loads(ioc("policies", "show", "grouping", "--json")[1])
    assert (now["version"], now["doc"]["enabled"], now["reason"]) == (1, False, "diễn tập")
    listed = {row["policy"]: row["version"] for row in json.loads(ioc("policies", "list", "--json")[1])}
    assert listed == dict.fromkeys(POLICIES, 0) | {"grouping": 1}


def test_dates_of_a_calendar_are_read_from_yaml(ioc: Ioc) -> None:
    file = write("calendar.yaml", "make_up_days: [2026-08-22]\ndays_off: [2026-08-31]\n")
    assert ioc("policies", "push", "calendar", file, "--reason", "hoán đổi")[0] == 0
    shown = json.loads(ioc("policies", "show", "calendar", "--json")[1])["doc"]
    assert shown == {"make_up_days": ["2026-08-22"], "days_off": ["2026-08-31"]}


def test_what_cannot_be_a_policy_names_the_field_and_changes_nothing(ioc: Ioc) -> None:
    for name, text, told in (
        ("grouping", "metres: 0", "metres"),
        ("grouping", "[", "not valid YAML"),
        ("calendar", "days_off: [2026-13-45]", "not valid YAML: month must be in 1..12"),
        ("weather", "{}", "no policy 'weather'"),
    ):
        code, _, errors = ioc("policies", "push", name, write("x.yaml", text), "--reason", "thử")
        assert code == 1
        assert told in errors
    assert json.loads(ioc("policies", "show", "grouping", "--json")[1])["version"] == 0
    assert ioc("policies", "show", "weather")[0] == 1


def test_a_preview_and_a_forecast_of_nothing_say_so(with_ward: Ioc) -> None:
    table = write("authority.yaml", "fallback: Tổ trực\n")
    areas = geojson("others", {"type": "Polygon", "coordinates": SQUARE}, {"code": "1", "name": "Phường 1"})
    code, out, _ = with_ward("policies", "preview", "--authority", table, "--areas", areas)
    assert code == 0
    assert "0 of 0 open incidents would change" in out
    assert with_ward("policies", "preview")[0] == 1
    assert json.loads(with_ward("forecast", "--json")[1]) == []
