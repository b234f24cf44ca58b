"""Figures over HTTP: what may be asked, how it is refused, what a spreadsheet gets."""

import csv
import io

import pytest

from ioc.api.access_table import TokenScope
from ioc.api.figures import guarded
from ioc.incidents.figures import FIGURES
from ioc.store.figures import By
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fake_figures import FakeFigures
from tests.unit.api.fakes import FOREIGN, WARD, FakeTokens, FakeUsers, make_deps

KPIS = "/api/v1/kpis"


@pytest.fixture
def figures() -> FakeFigures:
    return FakeFigures()


async def test_every_figure_comes_with_what_it_rests_on(
    users: FakeUsers, browse: Browser, figures: FakeFigures
) -> None:
    async with browse(Role.LEADER, make_deps(users, figures=figures)) as client:
        answer = (await client.get(KPIS, params={"group_by": "ward"})).json()
        whole, ward = answer["items"]
        assert [each["figure"] for each in whole["figures"]] == list(FIGURES)
        assert (whole["key"], ward["key"], ward["name"]["en"]) == (None, WARD, "Ward")
        rate = next(each for each in whole["figures"] if each["figure"] == "processing_rate")
        assert rate == {
            "figure": "processing_rate", "value": 0.5, "n": 2, "coverage": None, "age_s": 2.3, "trend": None,
        }  # fmt: skip
        absent = next(each for each in whole["figures"] if each["figure"] == "resolve_median")
        assert (absent["value"], absent["n"]) == (None, 0)
        assert set(answer["period"]) == {"name", "from", "to", "compared_to", "shift_s"}


async def test_the_definitions_say_every_formula_in_both_languages(browse: Browser) -> None:
    async with browse(Role.WARD) as client:
        items = (await client.get(f"{KPIS}/definitions")).json()["items"]
    assert [each["id"] for each in items] == list(FIGURES)
    for each in items:
        assert each["title"]["vi"] != each["title"]["en"]
        assert each["words"]["vi"] and each["words"]["en"] and each["covers"]["vi"], each["id"]


async def test_ward_staff_ask_for_their_ward_only(
    users: FakeUsers, browse: Browser, figures: FakeFigures
) -> None:
    async with browse(Role.WARD, make_deps(users, figures=figures)) as client:
        assert (await client.get(KPIS)).status_code == 200
        assert (await client.get("/api/v1/warnings")).status_code == 200
        assert (await client.get(f"{KPIS}/open/incidents")).status_code == 200
        for path in (
            KPIS,
            f"{KPIS}/export",
            f"{KPIS}/open/series",
            f"{KPIS}/open/incidents",
            "/api/v1/warnings",
        ):
            assert (await client.get(path, params={"ward": FOREIGN})).status_code == 404, path
    assert figures.asked[0][0].wards == (WARD,)
    assert figures.wards == [(WARD,), (WARD,)]


@pytest.mark.parametrize(
    ("params", "field", "rule"),
    [
        ({"figure": "weather"}, "figure", "figure"),
        ({"period": "custom"}, "from", "custom"),
        ({"period": "custom", "from": "2026-01-02", "to": "2026-01-01"}, "to", "span"),
        ({"period": "decade"}, "period", "enum"),
        ({"group_by": "person"}, "group_by", "enum"),
        ({"period": "custom", "from": "yesterday", "to": "2026-01-01"}, "from", "date_from_datetime_parsing"),
        ({"category": "a\x00b"}, "category", "nul"),
    ],
)
async def test_a_question_that_cannot_be_is_refused_by_field_and_rule(
    browse: Browser, params: dict[str, str], field: str, rule: str
) -> None:
    async with browse(Role.LEADER) as client:
        answer = await client.get(KPIS, params=params)
    assert answer.status_code == 422
    error = answer.json()["errors"][0]
    assert error["field"].endswith(field)
    assert error["rule"] == rule or rule == "nul"


async def test_figures_that_do_not_exist_or_hold_no_incidents_are_not_found(browse: Browser) -> None:
    async with browse(Role.LEADER) as client:
        for path in ("weather/series", "weather/incidents", "camera_age/incidents"):
            assert (await client.get(f"{KPIS}/{path}")).status_code == 404, path
        assert (await client.get(f"{KPIS}/open/incidents", params={"cursor": "bad"})).status_code == 422
        page = (await client.get(f"{KPIS}/open/incidents")).json()
        assert ([each["id"] for each in page["items"]], page["next"]) == (["inc-1"], "more")
        (point,) = (await client.get(f"{KPIS}/open/series")).json()["items"]
        assert (point["value"], point["complete"]) == (None, False)


async def test_a_warning_leads_to_the_incidents_behind_it(browse: Browser) -> None:
    async with browse(Role.LEADER) as client:
        answer = (await client.get("/api/v1/warnings")).json()
        ward, city = answer["items"]
        assert (ward["ward"], ward["coverage"]) == (WARD, 0.8765)
        assert ward["incidents"] == f"{KPIS}/overdue/incidents?period=today&ward={WARD}"
        assert (await client.get(ward["incidents"])).status_code == 200
        assert (city["ward"], city["incidents"]) == (None, None)
        assert answer["brakes"][0]["blind"] == 2


async def test_a_spreadsheet_gets_texts_and_never_formulas(
    users: FakeUsers, browse: Browser, figures: FakeFigures
) -> None:
    async with browse(Role.LEADER, make_deps(users, figures=figures)) as client:
        answer = await client.get(f"{KPIS}/export", params={"group_by": "ward", "figure": "open"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in answer.headers["content-disposition"]
        text = answer.content.decode("utf-8-sig")
        head, whole, ward = csv.reader(io.StringIO(text))
        assert (whole[0], ward[0], ward[1]) == ("all", WARD, "'=Phường")
        assert dict(zip(head, whole, strict=True))["title"] == "Đang mở"
        by_category = await client.get(f"{KPIS}/export", params={"group_by": "category", "figure": "open"})
        assert "\r\n'@traffic," in by_category.text
    assert figures.asked[-1][1] is By.CATEGORY


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_what_a_spreadsheet_would_compute_is_quoted(text: str) -> None:
    assert guarded(text) == "'" + text
    assert guarded("Phường " + text) == "Phường " + text
    assert guarded(-1) == -1


async def test_a_screen_on_a_wall_sees_numbers_of_its_wards_and_opens_nothing_else(
    users: FakeUsers, browse: Browser, figures: FakeFigures
) -> None:
    tokens = FakeTokens()
    led = {"Authorization": f"Bearer {tokens.add(TokenScope.WALL.value, Role.WARD, (WARD,))}"}
    async with browse(None, make_deps(users, figures=figures, tokens=tokens)) as client:
        shown = await client.get("/api/v1/wall", headers=led)
        closed = await client.get("/api/v1/incidents", headers=led)
    assert shown.headers["cache-control"] == "no-store"
    wall = shown.json()
    assert [group["key"] for group in wall["wards"]] == [None, WARD]
    assert [group["key"] for group in wall["categories"]] == [None, "@traffic"]
    assert {query.wards for query, _ in figures.asked} == {(WARD,)}
    assert closed.status_code == 403
