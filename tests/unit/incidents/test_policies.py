"""Policies as data: what is accepted, what is refused and how, and whom the authority table names."""

import msgspec
import pytest

from ioc.incidents.policies import (
    POLICIES,
    AuthorityTable,
    Responsible,
    length_of,
    parse_policy,
)
from ioc.incidents.policy_shapes import PolicyError
from ioc.incidents.routing import preview, team_of
from ioc.model.times import DAY_US, MINUTE_US
from tests.unit.incidents.samples import NAMES, an_incident

TABLE = AuthorityTable(
    rows=(
        Responsible(wards=("25747",), team="Tổ phường"),
        Responsible(category="traffic", team="Đội CSGT {ward}"),
        Responsible(category="flood", team="Đội thoát nước"),
        Responsible(category="flood", wards=("25750",), team="Đội thoát nước Phú Lợi"),
        Responsible(category="flood", wards=("25750",), team="nobody: the first one decides"),
    ),
    fallback="Tổ trực",
)


@pytest.mark.parametrize(
    ("category", "ward", "team"),
    [
        ("traffic", "25747", "Đội CSGT Phường Thủ Dầu Một"),
        ("flood", "25747", "Đội thoát nước"),
        ("flood", "25750", "Đội thoát nước Phú Lợi"),
        ("noise", "25747", "Tổ phường"),
        ("noise", "25750", "Tổ trực"),
        ("traffic", None, "Tổ trực"),
        ("traffic", "99999", "Tổ trực"),
    ],
)
def test_the_most_particular_row_names_the_team(category: str, ward: str | None, team: str) -> None:
    assert team_of(TABLE, category, ward, NAMES) == team


@pytest.mark.parametrize("name", list(POLICIES))
def test_the_shipped_policies_are_accepted_as_they_are_shown(name: str) -> None:
    shipped = POLICIES[name]()
    assert parse_policy(name, msgspec.json.decode(msgspec.json.encode(shipped))) == shipped


@pytest.mark.parametrize(
    ("name", "document", "field", "rule"),
    [
        ("weather", {}, "name", "policy"),
        ("authority", {"rows": [{"category": "traffic"}]}, "rows[0]", "policy_shape"),
        ("authority", {"fallbak": "x"}, "authority", "policy_shape"),
        ("authority", {"rows": [{"team": ""}]}, "rows[0].team", "policy_shape"),
        ("authority", {"rows": [{"team": "x"}] * 501}, "rows", "policy_shape"),
        ("clocks", {"rows": [{"resolve": "10 days"}]}, "rows[0].resolve", "policy_shape"),
        ("clocks", {"rows": [{"resolve": "0s"}]}, "rows[0].resolve", "positive"),
        ("clocks", {"rows": [{"acknowledge": "1wd"}]}, "rows[0].acknowledge", "elapsed"),
        (
            "clocks",
            {"rows": [{"resolve": "10wd", "resolve_several": "5wd"}]},
            "rows[0].resolve_several",
            "resolve_several",
        ),
        (
            "clocks",
            {"rows": [{"resolve": "2h", "resolve_several": "5wd"}]},
            "rows[0].resolve_several",
            "resolve_several",
        ),
        (
            "clocks",
            {"steps": [{"clock": "resolve", "at": "-1wd", "to": "x", "level": 1}]},
            "steps[0].at",
            "policy_shape",
        ),
        ("calendar", {"make_up_days": ["2026-02-30"]}, "make_up_days[0]", "policy_shape"),
        ("grouping", {"metres": 0}, "metres", "policy_shape"),
        ("grouping", {"within": "1wd"}, "within", "elapsed"),
        ("grouping", {"correlations": [{"name": "x"}]}, "correlations[0]", "names_something"),
        ("grouping", [], "grouping", "policy_shape"),
    ],
)
def test_a_policy_that_cannot_be_names_field_and_rule(
    name: str, document: object, field: str, rule: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(name, document)
    assert (caught.value.field, caught.value.rule) == (field, rule)


def test_lengths_of_time() -> None:
    assert length_of("5m") == (5 * MINUTE_US, False)
    assert length_of("10wd") == (10 * DAY_US, True)
    assert length_of("-15m") == (-15 * MINUTE_US, False)


class Split:
    """Boundaries that give everything north of 11° to another ward, and nothing south of 10.9° to any."""

    def ward_of(self, lon: float, lat: float) -> str | None:
        if lat < 10.9:
            return None
        return "25750" if lat > 11.0 else "25747"


def test_a_preview_names_what_would_change_and_who_would_lose_their_ward() -> None:
    table = AuthorityTable(fallback="Tổ trực trung tâm")
    incidents = [
        an_incident("stays"),
        an_incident("moves", lat=11.1),
        an_incident("homeless", lat=10.8),
        an_incident("placeless", lon=None, lat=None),
        an_incident("gone", lon=None, lat=None, ward="111"),
    ]
    found = preview(incidents, table, NAMES, Split())
    assert found.looked_at == 5
    assert [(item.incident_id, item.ward_before, item.ward) for item in found.changed] == [
        ("moves", "25747", "25750"),
        ("homeless", "25747", None),
        ("gone", "111", None),
    ]
    assert found.homeless == 2


def test_a_preview_of_a_table_alone_moves_nobody() -> None:
    table = AuthorityTable(rows=(Responsible(category="traffic", team="Đội mới"),))
    (item,) = preview([an_incident(lat=11.1)], table, NAMES, None).changed
    assert (item.ward, item.team_before, item.team) == ("25747", "Tổ trực trung tâm", "Đội mới")
