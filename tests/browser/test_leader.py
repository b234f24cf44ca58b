"""The leaders' page in a browser: figures, warnings, the way down to one incident, age, keys, print, axe."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.city import City
from tests.browser.conftest import ROOT
from tests.browser.staff import StaffPage, pages

AXE = ROOT / "dashboards" / "console" / "node_modules" / "axe-core" / "axe.min.js"
SCRIPT_BYTES = 60_000
QUIET_WARD = "25906"
"""No test resolves anything there."""
WARNING = {
    "id": "wrn-1", "rev": 1, "brake": "overdue-ward", "figure": "overdue", "ward": "25747", "category": None,
    "title": {"vi": "Phường có nhiều sự cố quá hạn", "en": "Many overdue incidents in a ward"},
    "period": "today", "severity": "high", "stage": "forecast", "opened": "2026-11-25T05:00:00Z",
    "changed": "2026-11-25T05:00:00Z", "crossed": None, "cleared": None, "forecast": "2026-11-25T07:00:00Z",
    "value": 8.0, "threshold": 10.0, "clear_at": 5.0, "n": 20, "coverage": 1.0, "blind": False,
    "incidents": "/api/v1/kpis/overdue/incidents?period=today&ward=25747",
}  # fmt: skip
BLIND = {
    "brake": "triage-1022", "title": {"vi": "1022: tiếp nhận chậm", "en": "1022: late triage"}, "scopes": 1,
    "blind": 1, "checked": "2026-11-25T05:00:00Z",
}  # fmt: skip


class Leader(StaffPage):
    """The page as one leader has it."""

    def open(self, query: str = "") -> "Leader":
        self.page.goto(f"{self.city.url}/leader{query}")
        expect(self.page.get_by_test_id("ward-row").first).to_be_visible(timeout=20_000)
        return self

    def value(self, figure: str) -> str:
        tile = self.page.locator(f'[data-testid="tile"][data-figure="{figure}"]')
        return tile.get_by_test_id("value").inner_text()


@pytest.fixture
def leader(browser: Browser, city: City) -> Iterator[Leader]:
    with pages(browser, city, Leader, "leader", 1440) as make:
        yield make(tools=True)


def warn(page: Page) -> None:
    """Let the service warn of one ward, and be blind for one brake."""
    body = json.dumps({"items": [WARNING], "brakes": [BLIND]})
    page.route("**/api/v1/warnings*", lambda route: route.fulfill(content_type="application/json", body=body))


def test_from_the_city_to_a_ward_to_one_incident(leader: Leader) -> None:
    incident = leader.city.incident
    ward = leader.city.get(f"/incidents/{incident}")["ward"]
    page = leader.open().page
    assert int(leader.value("open")) >= 1
    row = page.locator(f'[data-testid="ward-row"][data-ward="{ward}"]')
    row.get_by_role("button").click()
    expect(page.get_by_test_id("scope")).to_be_visible()
    assert f"ward={ward}" in page.url
    page.locator('[data-testid="tile"][data-figure="open"]').click()
    listed = page.get_by_test_id("incident")
    expect(listed.first).to_be_visible()
    links = [link.get_attribute("href") for link in listed.all()]
    assert f"/?incident={incident}" in links
    # Of the whole city only.
    expect(page.locator('[data-figure="alarms_per_operator_hour"]')).to_have_count(0)
    page.go_back()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("scope")).to_have_count(0)
    assert "ward=" not in page.url


def test_every_figure_says_what_it_rests_on_and_none_is_a_zero_for_want_of_data(leader: Leader) -> None:
    page = leader.open(f"?ward={QUIET_WARD}").page
    for tile in page.get_by_test_id("tile").all():
        assert "n = " in tile.inner_text().replace("\u00a0", " "), tile.inner_text()
    assert leader.value("reopened_share") == "chưa có dữ liệu"
    page.get_by_test_id("lang-switch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Leaders’ figures")
    assert leader.value("reopened_share") == "no data yet"


def test_keys_and_buttons_change_the_period_and_the_address_keeps_it(leader: Leader) -> None:
    page = leader.open().page
    page.keyboard.press("2")
    expect(page.get_by_test_id("period-7d")).to_have_attribute("aria-pressed", "true")
    assert "period=7d" in page.url
    page.get_by_test_id("period-quarter").click()
    page.reload()
    expect(page.get_by_test_id("period-quarter")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.get_by_test_id("period-7d")).to_have_attribute("aria-pressed", "true")


def test_a_warning_stands_on_top_and_leads_to_its_ward_and_figure(leader: Leader) -> None:
    warn(leader.page)
    page = leader.open().page
    card = page.get_by_test_id("warning")
    expect(card).to_have_attribute("data-stage", "forecast")
    expect(card).to_contain_text("Dự báo")
    expect(page.get_by_test_id("blind")).to_contain_text("1022: tiếp nhận chậm")
    top = page.locator("main > *").first
    expect(top).to_have_attribute("data-testid", "warnings")
    page.get_by_test_id("warning-place").click()
    expect(page.get_by_test_id("scope")).to_be_visible()
    assert "ward=25747" in page.url
    assert "figure=overdue" in page.url


def test_a_page_that_gets_no_answer_says_since_when_and_comes_back(leader: Leader) -> None:
    page = leader.page
    page.clock.install()
    leader.open()
    fresh = page.get_by_test_id("freshness")
    expect(fresh).to_contain_text("Cập nhật")

    def refuse(route: Route) -> None:
        route.abort()

    page.route("**/api/v1/kpis*", refuse)
    page.clock.run_for(50_000)
    expect(page.get_by_test_id("stale-page")).to_be_visible()
    page.unroute("**/api/v1/kpis*", refuse)
    page.clock.run_for(20_000)
    expect(page.get_by_test_id("stale-page")).to_have_count(0, timeout=20_000)
    # The browser itself complains of what was cut.
    leader.complaints[:] = [each for each in leader.complaints if "ERR_FAILED" not in each]


def test_a_figure_from_old_data_says_so(leader: Leader) -> None:
    page = leader.page

    def aged(route: Route) -> None:
        answer = route.fetch()
        found = answer.json()
        for group in found["items"]:
            for figure in group["figures"]:
                figure["age_s"] = 1_200
        route.fulfill(response=answer, json=found)

    page.route("**/api/v1/kpis?*", aged)
    leader.open()
    expect(page.get_by_test_id("old").first).to_contain_text("Dữ liệu cũ 20 phút")


def test_the_table_sorts_by_every_column_and_says_which(leader: Leader) -> None:
    page = leader.open().page
    assert leader.city.incident
    for column in ("open", "overdue", "processing_rate", "resolve_median", "camera_coverage", "name"):
        page.get_by_test_id(f"sort-{column}").click()
        heads = page.locator("thead th").all()
        sorted_ones = [
            head for head in heads if head.get_attribute("aria-sort") in ("ascending", "descending")
        ]
        assert len(sorted_ones) == 1, column
    names = page.locator('[data-testid="ward-row"] .name').all_inner_texts()
    assert len(names) == 36


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [390, 1440, 3840])
def test_no_rule_of_accessibility_is_broken_and_nothing_is_wider_than_the_screen(
    leader: Leader, theme: str, width: int
) -> None:
    page = leader.page
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(f"localStorage.setItem('ioc.theme', '{theme}')")
    warn(page)
    leader.open("?figure=open")
    page.add_script_tag(path=str(AXE))
    found = page.evaluate(
        "async () => (await axe.run()).violations.map((each) => `${each.id}: ${each.nodes[0].html}`)"
    )
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_can_be_reached_by_keys_in_order(leader: Leader) -> None:
    page = leader.open().page
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_class("skip")
    page.keyboard.press("Enter")
    assert page.url.endswith("#wards")


def test_it_prints_on_one_sheet(leader: Leader, tmp_path: Path) -> None:
    warn(leader.page)
    page = leader.open("?period=7d").page
    content = page.pdf(path=tmp_path / "leader.pdf", prefer_css_page_size=True)
    assert re.findall(rb"/Count (\d+)", content) == [b"1"]
    width, height = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content)[0]
    assert (round(float(width)), round(float(height))) == (595, 842), "A4"


def test_its_script_is_small_beside_the_chart(leader: Leader) -> None:
    scripts: set[str] = set()
    leader.page.on("request", lambda asked: asked.url.endswith(".js") and scripts.add(asked.url))
    leader.open()
    leader.page.wait_for_load_state("networkidle")
    own = {url for url in scripts if "uPlot" not in url}
    assert own
    assert not any("maplibre" in url or "controller" in url for url in own)
    total = sum(len(gzip.compress(leader.page.request.get(url).body())) for url in own)
    assert total < SCRIPT_BYTES


def test_somebody_without_a_session_is_asked_to_log_in(browser: Browser, city: City) -> None:
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(f"{city.url}/leader")
    page.get_by_test_id("login-user").fill("leader")
    page.get_by_test_id("login-pass").fill(city.password("leader"))
    page.get_by_test_id("login-submit").click()
    expect(page.get_by_test_id("ward-row").first).to_be_visible(timeout=20_000)
    context.close()
