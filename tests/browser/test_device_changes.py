"""What becomes of devices reaches consoles that are open: map, lists and panel, without a reload."""

from typing import Any

import httpx
from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import WAIT_MS, Console, until

DEVICE = "cam-25747-changing"
LON, LAT = 106.571, 11.052
"""Where no other device stands."""
ON_THE_MAP = """(id) => window.__ioc.map.queryRenderedFeatures({ layers: ['devices'] })
    .some((feature) => feature.properties.id === id)"""


def change(city: City, method: str, path: str = "", body: dict[str, Any] | None = None) -> None:
    """Do to the device what an engineer does."""
    url = f"{city.url}/api/v1/registry/devices/{DEVICE}{path}"
    httpx.request(method, url, json=body, headers=city.headers("engineer")).raise_for_status()


def described(name: str, ward: str = "25747") -> dict[str, Any]:
    return {"kind": "camera", "name": name, "ward": ward, "lon": LON, "lat": LAT}


def searched(console: Console, name: str) -> None:
    console.page.locator("#queue-search").fill(name)


def test_a_device_that_comes_changes_and_goes_is_followed_by_open_consoles(
    new_console: OpenConsole, city: City
) -> None:
    console = new_console(drawn=True).open().wait_map()
    ward = new_console("ward").open()
    for each in (console, ward):
        each.page.evaluate("() => { window.sameDocument = true }")
        searched(each, "Máy đổi chỗ")
        expect(each.page.get_by_role("button", name="Máy đổi chỗ")).to_have_count(0)

    change(city, "PUT", body=described("Máy đổi chỗ"))
    for each in (console, ward):
        each.page.get_by_role("button", name="Máy đổi chỗ").click(timeout=WAIT_MS)
        expect(each.at("device-panel")).to_contain_text("Máy đổi chỗ")
    near = "([lon, lat]) => { window.__ioc.map.jumpTo({ center: [lon, lat], zoom: 16 }) }"
    console.page.evaluate(near, [LON, LAT])
    until(console.page, ON_THE_MAP, DEVICE)

    change(city, "POST", "/disable", {"reason": "đổi cột"})
    for each in (console, ward):
        expect(each.at("device-disabled")).to_be_visible(timeout=WAIT_MS)
    change(city, "POST", "/enable")
    for each in (console, ward):
        expect(each.at("device-disabled")).to_have_count(0, timeout=WAIT_MS)

    # What leaves a ward leaves its people's lists; whoever sees every ward reads where it is now.
    change(city, "PUT", body=described("Máy đổi phường", "25942"))
    expect(console.at("device-panel")).to_contain_text("Máy đổi phường", timeout=WAIT_MS)
    expect(ward.at("device-removed")).to_be_visible(timeout=WAIT_MS)
    expect(ward.page.get_by_role("button", name="Máy đổi chỗ")).to_have_count(0)

    change(city, "DELETE")
    expect(console.at("device-removed")).to_be_visible(timeout=WAIT_MS)
    until(console.page, f"(id) => !({ON_THE_MAP})(id)", DEVICE)
    searched(console, "Máy đổi phường")
    expect(console.page.get_by_role("button", name="Máy đổi phường")).to_have_count(0)
    for each in (console, ward):
        assert each.page.evaluate("() => window.sameDocument")
        assert not any(frame["type"] == "welcome" for frame in each.frames[1:]), "one connection all along"


def test_a_console_that_was_away_knows_what_became_of_devices_meanwhile(
    new_console: OpenConsole, city: City
) -> None:
    console = new_console().open()
    console.page.wait_for_load_state("networkidle")
    console.context.set_offline(True)
    console.page.wait_for_function("() => !window.__ioc.feed.connected")
    change(city, "PUT", body=described("Máy mới"))
    console.context.set_offline(False)
    searched(console, "Máy mới")
    expect(console.page.get_by_role("button", name="Máy mới")).to_be_visible(timeout=2 * WAIT_MS)
    change(city, "DELETE")
    expect(console.page.get_by_role("button", name="Máy mới")).to_have_count(0, timeout=WAIT_MS)
