"""The pages for everybody on small and large screens: nothing cut, nothing that jumps, nothing unusable."""

import gzip
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import DIST, OpenVisit
from tests.browser.console import WAIT_MS
from tests.browser.public import SOMEWHERE
from tests.browser.test_screen import violations

MAX_SCRIPT_BYTES = 60_000
PAGES = ("report", "follow", "board", "ward")
PHONE, NAME, PLATE = "0912 345 678", "Nguyễn Thị Hoa", "61A-123.45"


def test_a_page_is_small_and_carries_no_map() -> None:
    for page in PAGES:
        html = (DIST.parent / f"{page}.html").read_text()
        scripts = [DIST.parent / found for found in re.findall(r'(?:src|href)="/([^"]+\.js)"', html)]
        code = [script.read_bytes() for script in scripts]
        assert len(scripts) >= 3, page
        assert sum(len(gzip.compress(text)) for text in code) < MAX_SCRIPT_BYTES, page
        # The library's own words, which survive being made small.
        assert not any(b"webglcontextlost" in text for text in code), page
    assert any(b"webglcontextlost" in script.read_bytes() for script in DIST.parent.glob("assets/*.js"))


@pytest.fixture(scope="module")
def code(city: City) -> str:
    """The code of a report with everything that must not be seen by others."""
    report = {
        "service": "safety",
        "text": f"Tôi là {NAME}, gọi {PHONE}. Xe {PLATE} đậu chắn lối thoát hiểm.",
        "lon": SOMEWHERE[0] + 0.002,
        "lat": SOMEWHERE[1],
        "contact": PHONE,
        "idem": "11111111-2222-3333",
    }
    answer = httpx.post(f"{city.url}/api/v1/public/reports", json=report, headers={"X-IOC": "1"})
    return str(answer.raise_for_status().json()["code"])


@pytest.mark.parametrize("path", ["/report", "/follow", "/board"])
def test_a_narrow_phone_shows_everything_and_nothing_jumps(visit: OpenVisit, code: str, path: str) -> None:
    citizen = visit(width=320, height=640)
    citizen.context.add_init_script(
        "window.shifts = 0; new PerformanceObserver((list) => {"
        "  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value"
        "}).observe({ type: 'layout-shift', buffered: true })"
    )
    citizen.open(f"{path}#{code}" if path == "/follow" else path)
    ready = {"/report": "service", "/follow": "followed", "/board": "tiles"}[path]
    expect(citizen.at(ready).first).to_be_attached()
    citizen.page.wait_for_load_state("networkidle")

    width, most = citizen.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert width <= most
    small = citizen.page.evaluate(
        """() => [...document.querySelectorAll('button, a, input:not(.hidden-text), textarea')]
          .filter((e) => e.offsetParent && !e.closest('.skip, footer, p'))
          .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
          .filter(([, box]) => box.height < 24 || box.width < 24).map(([html]) => html)"""
    )
    assert small == []
    if path != "/follow":
        assert citizen.page.evaluate("() => window.shifts") < 0.1


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious(visit: OpenVisit, code: str, theme: str) -> None:
    citizen = visit(theme=theme, width=390, height=844).open("/report")
    expect(citizen.at("service").first).to_be_attached()
    citizen.at("send").click()
    citizen.at("open-map").click()
    expect(citizen.at("place-map")).to_have_attribute("data-ready", "true", timeout=30_000)
    assert violations(citizen.page) == []

    citizen.open(f"/follow#{code}")
    expect(citizen.at("followed")).to_be_visible()
    assert violations(citizen.page) == []
    for path, ready in (("/board", "latest"), ("/board?kiosk", "kiosk")):
        citizen.open(path)
        expect(citizen.at(ready)).to_be_visible()
        assert violations(citizen.page) == []


def test_the_theme_is_the_devices_until_somebody_chooses(visit: OpenVisit) -> None:
    citizen = visit(theme=None, color_scheme="dark").open("/report")
    theme: Callable[[], Any] = lambda: citizen.page.evaluate("() => document.documentElement.dataset.theme")  # noqa: E731
    assert theme() == "dark"
    citizen.at("theme-switch").click()
    assert theme() == "light"
    citizen.page.reload()
    assert theme() == "light"


def test_an_address_that_is_none_leads_on_in_both_languages(visit: OpenVisit) -> None:
    lost = visit(width=360, height=740).open("/bao-cao/2024")
    for words in ("Không có trang này", "There is no such page"):
        expect(lost.page.get_by_text(words)).to_be_visible()
    assert violations(lost.page) == []
    lost.page.get_by_role("link", name="Gửi phản ánh").click()
    expect(lost.at("send")).to_be_visible()


def test_the_wall_screen_turns_by_itself_and_shows_nobody(visit: OpenVisit, city: City, code: str) -> None:
    wall = visit(width=1920, height=1080)
    wall.page.clock.install()
    wall.open("/board?kiosk")
    kiosk = wall.at("kiosk")
    seen = ""
    for scene in ("services", "wards", "recent", "services"):
        expect(kiosk).to_have_attribute("data-scene", scene)
        expect(wall.at("freshness")).to_contain_text("Số liệu cách đây")
        seen += wall.page.content()
        wall.page.clock.run_for(15_000)
    assert kiosk.locator("a, button, input").count() == 0
    cut = wall.page.evaluate("() => document.documentElement.scrollHeight > innerHeight")
    assert not cut
    wall.open("/board")
    expect(wall.at("latest")).to_be_visible()
    seen += wall.page.content() + httpx.get(f"{city.url}/api/v1/public/board").text
    for personal in (PHONE, NAME, PLATE, "345 678", "345678", "Thị Hoa", code, "thoát hiểm"):
        assert personal not in seen


def test_a_wall_screen_that_may_keep_nothing_turns_all_the_same(visit: OpenVisit) -> None:
    wall = visit(theme=None, width=1920, height=1080)
    wall.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('forbidden') } })"
    )
    wall.page.clock.install()
    wall.open("/board?kiosk")
    expect(wall.at("freshness")).to_have_attribute("data-stale", "false")
    expect(wall.at("freshness")).to_contain_text("Số liệu cách đây")
    wall.page.clock.run_for(15_000)
    expect(wall.at("kiosk")).to_have_attribute("data-scene", "wards")


def test_whoever_touches_the_wall_screen_may_read_on_for_a_minute(visit: OpenVisit) -> None:
    wall = visit(width=1920, height=1080, color_scheme="dark")
    wall.page.clock.install()
    wall.open("/board?kiosk")
    expect(wall.at("kiosk")).to_have_attribute("data-scene", "services")
    wall.page.mouse.click(900, 500)
    wall.page.clock.run_for(1_000)
    expect(wall.at("resting")).to_be_visible()
    wall.page.clock.run_for(45_000)
    expect(wall.at("kiosk")).to_have_attribute("data-scene", "services")
    wall.page.clock.run_for(30_000)
    expect(wall.at("kiosk")).to_have_attribute("data-scene", "wards")
    expect(wall.at("resting")).to_have_count(0)


def tokens(city: City, *arguments: str) -> Any:
    """Run `ioc tokens …` beside the service."""
    command = [
        sys.executable,
        "-m",
        "ioc.app",
        "tokens",
        *arguments,
        "--data",
        city.service.data,
        "--json",
    ]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)


def test_a_wall_screen_with_a_token_shows_incidents_until_the_token_is_revoked(
    visit: OpenVisit, city: City
) -> None:
    told = city.get(f"/incidents/{city.raise_incident()}")
    token = tokens(city, "issue", f"led-{uuid.uuid4().hex[:8]}", "--scope", "wall")
    wall = visit(width=1920, height=1080)
    wall.page.clock.install()
    wall.open(f"/board?kiosk&pace=60#{token['token']}")
    kiosk = wall.at("kiosk")
    expect(kiosk).to_have_attribute("data-scene", "wall-wards", timeout=WAIT_MS)
    expect(kiosk).to_contain_text("Phường Thủ Dầu Một")
    assert token["token"] not in wall.page.url, "who photographs the screen has no token"
    expect(wall.at("pace")).to_contain_text("60 giây")
    seen = wall.page.content()
    wall.page.keyboard.press("ArrowRight")
    expect(kiosk).to_have_attribute("data-scene", "wall-categories")
    expect(wall.at("resting")).to_be_visible()
    seen += wall.page.content()
    for inside in (told["id"], told["source"], told["title"]["vi"]):
        assert inside not in seen, "numbers only"
    wall.page.reload()
    expect(kiosk).to_have_attribute("data-scene", "wall-wards", timeout=WAIT_MS)

    tokens(city, "revoke", token["id"])
    wall.page.clock.run_for(61_000)
    expect(wall.at("refused")).to_be_visible()
    expect(kiosk).not_to_have_attribute("data-scene", re.compile("^wall-"))
    expect(kiosk).not_to_contain_text("Đang mở")


def test_a_wall_screen_says_that_its_figures_have_stopped_and_goes_on_by_itself(visit: OpenVisit) -> None:
    wall = visit(width=1280, height=720)
    wall.page.clock.install()
    wall.open("/board?kiosk")
    expect(wall.at("freshness")).to_have_attribute("data-stale", "false")
    expect(wall.at("tiles")).to_contain_text("Đang xử lý")

    wall.context.set_offline(True)
    wall.page.clock.run_for(75_000)
    expect(wall.at("freshness")).to_contain_text("MẤT KẾT NỐI")
    before = wall.at("clock").inner_text()
    wall.page.clock.run_for(3_600_000)
    expect(wall.at("freshness")).to_contain_text("1 giờ")
    assert wall.at("clock").inner_text() != before, "the clock goes on"

    wall.context.set_offline(False)
    wall.page.clock.run_for(15_000)
    expect(wall.at("freshness")).to_have_attribute("data-stale", "false")
