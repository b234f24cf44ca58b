"""What the screen shows: the map, both languages, both themes, two sizes, and nothing a person cannot use."""

import itertools
import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.city import City
from tests.browser.conftest import MAP_LIBRARY, ROOT, OpenConsole
from tests.browser.console import WAIT_MS

AXE = ROOT / "dashboards" / "console" / "node_modules" / "axe-core" / "axe.min.js"
WARDS = 36


def test_the_map_shows_the_wards_and_the_incident(new_console: OpenConsole, city: City) -> None:
    incident = city.incident
    console = new_console(drawn=True).open().wait_map()
    assert len(console.rendered_ids("wards", "code")) == WARDS
    assert console.rendered_ids("devices") or console.rendered_ids("clusters", "cluster_id")

    console.show(incident)
    console.page.get_by_role("button", name="Tới vị trí trên bản đồ").click()
    console.page.wait_for_function("() => window.__ioc.map.getZoom() >= 14")
    console.wait_map()

    assert incident in console.rendered_ids("incidents")
    assert city.get(f"/incidents/{incident}")["source"] in console.rendered_ids("devices")


def test_the_map_comes_by_itself_when_the_network_failed_it_at_first(
    new_console: OpenConsole, city: City
) -> None:
    console = new_console(drawn=False).open()
    expect(console.page.get_by_role("alert")).to_contain_text("Không mở được bản đồ")
    expect(console.row(city.incident)).to_be_visible()

    console.context.unroute(MAP_LIBRARY)

    console.wait_map()
    expect(console.page.get_by_role("alert")).to_have_count(0)


def test_incidents_close_together_are_one_symbol_with_their_number(
    new_console: OpenConsole, city: City
) -> None:
    incidents = {city.incident, city.raise_incident()}
    console = new_console(drawn=True).open().wait_map()
    groups = console.group_sizes()
    alone = console.rendered_ids("incidents")

    # At city zoom one ward's incidents cannot stand apart; none may be hidden without being counted.
    assert not incidents & alone
    assert max(groups) >= len(incidents)


def test_both_languages_are_whole_and_remembered(new_console: OpenConsole, city: City) -> None:
    incident = city.incident
    console = new_console().open()
    heading = console.page.get_by_role("heading", level=2).first
    expect(heading).to_have_text("Hàng đợi sự cố")
    expect(console.row(incident)).to_contain_text("Xe chạy ngược chiều")

    console.at("lang-switch").click()

    expect(heading).to_have_text("Incident queue")
    expect(console.row(incident)).to_contain_text("Vehicle driving the wrong way")
    expect(console.at("link-state")).to_contain_text("Live")
    assert console.page.evaluate("() => document.documentElement.lang") == "en"
    console.page.reload()
    console.wait_live()
    expect(heading).to_have_text("Incident queue")
    console.page.keyboard.press("l")
    expect(heading).to_have_text("Hàng đợi sự cố")


CUT = """() => {
  const unseen = (e) => e && (getComputedStyle(e).clipPath !== 'none' || unseen(e.parentElement))
  return [...document.querySelectorAll('header *, .panel h2, .panel .button, .tiles *, .clocks *, .find *')]
    .filter((e) => e instanceof HTMLElement && e.offsetParent && e.scrollWidth > e.clientWidth + 1
      && getComputedStyle(e).display !== 'inline' && !unseen(e) && !e.closest('.near, .find input'))
    .map((e) => e.outerHTML.slice(0, 120))
}"""
"""What has less room than it needs."""

SIDEWAYS = """() => [document.querySelector('.queue'), document.querySelector('[data-testid=queue]'),
  document.querySelector('.panel'), document.body]
  .filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.outerHTML.slice(0, 80))"""


# The last is the first enlarged to 200 %.
SIZES = [(1280, 720), (1920, 1080), (2560, 1440), (1024, 768), (640, 360)]


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_everything_has_room(new_console: OpenConsole, city: City, lang: str) -> None:
    console = new_console()
    console.page.add_init_script(f"localStorage.setItem('ioc.lang', '{lang}')")
    console.open()
    console.show(city.incident)
    expect(console.at("cmd-acknowledge")).to_be_visible()
    for width, height in SIZES:
        console.page.set_viewport_size({"width": width, "height": height})
        assert console.page.evaluate(CUT) == [], width
        assert console.page.evaluate(SIDEWAYS) == [], width
        size = console.page.evaluate("() => [document.body.scrollWidth, document.body.scrollHeight]")
        assert size == [width, height]
        boxes = [
            box
            for part in ("header .brand", "header .feed", "header .tools")
            if (box := console.page.locator(part).bounding_box())
        ]
        for one, other in itertools.combinations(boxes, 2):
            beside = one["x"] + one["width"] <= other["x"]
            assert beside or one["y"] + one["height"] <= other["y"], width


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_a_lost_link_does_not_push_the_list_from_under_a_pointer(
    new_console: OpenConsole, city: City, lang: str
) -> None:
    console = new_console("admin")
    console.page.add_init_script(f"localStorage.setItem('ioc.lang', '{lang}')")
    # The fullest header there is: the badge of warnings, which grows by a mark when they can't be asked for.
    warnings = json.dumps({"items": [{"stage": "crossed"}] * 100})
    console.page.route("**/warnings*", lambda route: route.fulfill(body=warnings))
    console.open()
    expect(console.row(city.incident)).to_be_visible()
    expect(console.at("warnings-badge")).to_be_visible()
    widths = range(1000, 2000, 60)

    def places() -> list[object]:
        found = []
        for width in widths:
            console.page.set_viewport_size({"width": width, "height": 720})
            found.append(console.at("queue").bounding_box())
        return found

    before = places()
    console.forgive("ERR_INTERNET_DISCONNECTED|Failed to fetch dynamically imported module")
    console.context.set_offline(True)
    expect(console.page.locator("header.stale")).to_be_visible(timeout=WAIT_MS)
    assert dict(zip(widths, places(), strict=True)) == dict(zip(widths, before, strict=True))


def test_text_twice_as_large_loses_nothing(new_console: OpenConsole, city: City) -> None:
    console = new_console().open()
    console.page.evaluate("() => { document.documentElement.style.fontSize = '200%' }")
    console.show(city.incident)
    expect(console.at("cmd-acknowledge")).to_be_visible()
    assert console.page.evaluate(SIDEWAYS) == []
    rows = console.page.locator("[data-testid=queue-row]").evaluate_all(
        "(rows) => rows.map((row) => row.firstElementChild)"
        ".filter((row) => row.scrollHeight > row.clientHeight).map((row) => row.outerHTML.slice(0, 120))"
    )
    assert rows == []


def violations(page: Page) -> list[str]:
    """Return what axe finds serious on a page."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(path=AXE)
    # The map's canvas is one picture to it; its list view is the queue.
    result: dict[str, Any] = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{found['id']}: {node['html'][:120]}: {node['failureSummary']}"
        for found in result["violations"]
        if found["impact"] in {"serious", "critical"}
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious(new_console: OpenConsole, city: City, theme: str) -> None:
    incident = city.incident
    login = new_console(user=None, theme=theme)
    login.page.goto(city.url)
    expect(login.at("login-submit")).to_be_visible()
    assert violations(login.page) == []

    console = new_console(drawn=True, theme=theme).open()
    expect(console.row(incident)).to_be_visible()
    assert violations(console.page) == []
    console.show(incident)
    expect(console.at("cmd-acknowledge")).to_be_visible()
    assert violations(console.page) == []
