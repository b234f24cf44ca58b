"""The page of devices as engineers and those on duty use it, under the service's own policy of content."""

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.staff import StaffPage, pages
from tests.browser.test_screen import violations

WAIT_MS = 30_000
GATEWAY = "gw-25975"
"""A device of the demo: it is looked at, and nothing of it is changed."""
HEALTH = "**/api/v1/devices/health"
_numbers = itertools.count(1)


class DevicePage(StaffPage):
    """The page as one person has it."""

    def open(self, query: str = "") -> "DevicePage":
        self.page.goto(f"{self.city.url}/devices{query}")
        expect(self.at("shown")).to_contain_text(re.compile(r"[1-9]"), timeout=WAIT_MS)
        return self

    def row(self, device: str) -> Locator:
        return self.page.locator(f'[data-testid="device-row"][data-device="{device}"]')

    def open_row(self, device: str) -> None:
        self.at("device-search").fill(device)
        self.row(device).click()

    def look_again(self) -> None:
        """Ask for the figures as a page does that is looked at again."""
        with self.page.expect_response(HEALTH):
            self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


OpenDevices = Callable[..., DevicePage]


@pytest.fixture
def open_devices(browser: Browser, city: City) -> Iterator[OpenDevices]:
    with pages(browser, city, DevicePage) as make:
        yield make


def put(city: City, device: str, **values: Any) -> None:
    """Register a device as another engineer would."""
    path = f"{city.url}/api/v1/registry/devices/{device}"
    answer = httpx.put(path, json={"kind": "gateway"} | values, headers=city.headers("admin"))
    assert answer.status_code == 200, answer.text


@pytest.fixture
def device(city: City) -> str:
    """A device of the test's own: without place and interval, so that no other test meets it."""
    name = f"page-{next(_numbers):02d}-{uuid.uuid4().hex[:6]}"
    put(city, name, name=f"Thiết bị thử {name}")
    return name


def test_what_is_filtered_and_chosen_stands_in_the_address_and_is_found_without_diacritics(
    open_devices: OpenDevices, device: str
) -> None:
    view = open_devices().open()
    everything = view.at("shown").inner_text()
    view.at("device-search").fill(f"thiet bi thu {device}")
    expect(view.at("device-row")).to_have_count(1)
    expect(view.row(device).locator("[data-state]")).to_have_text("Chưa rõ")
    view.at("filter-kind").select_option("gateway")
    view.at("count-unknown").click()
    expect(view.at("count-unknown")).to_have_attribute("aria-pressed", "true")
    view.row(device).click()
    expect(view.at("device-detail")).to_have_attribute("data-device", device)

    view.page.reload()
    expect(view.row(device)).to_be_visible(timeout=WAIT_MS)
    expect(view.at("device-detail")).to_contain_text(device)
    expect(view.at("count-unknown")).to_have_attribute("aria-pressed", "true")
    view.at("count-silent").click()
    expect(view.at("no-device")).to_be_visible()
    view.at("clear-filter").click()
    expect(view.at("shown")).to_have_text(everything)
    view.page.go_back()
    expect(view.at("device-detail")).to_have_count(0)


def test_a_registration_is_changed_and_what_is_wrong_is_said_beside_its_field(
    open_devices: OpenDevices, city: City, device: str
) -> None:
    view = open_devices().open(f"?device={device}")
    view.at("tab-registration").click()
    view.at("field-lon").fill("11,05")
    view.at("field-lat").fill("106,65")
    view.at("field-decoder").select_option("onvif")
    view.at("save").click()
    expect(view.at("fault-lat")).to_contain_text("swapped", timeout=WAIT_MS)
    expect(view.at("field-lat")).to_have_attribute("aria-invalid", "true")
    assert city.get(f"/registry/devices/{device}", "engineer")["decoder"] == "cloudevents"

    # Looking at something else loses nothing of what was typed.
    view.at("close-detail").click()
    view.open_row(device)
    view.at("tab-registration").click()
    expect(view.at("field-decoder")).to_have_value("onvif")
    view.at("field-lon").fill("")
    view.at("field-lat").fill("")
    put(city, device, name="Tên của người khác")
    view.at("save").click()
    expect(view.at("conflict")).to_be_visible(timeout=WAIT_MS)
    expect(view.at("field-name")).to_have_value("Tên của người khác")
    expect(view.at("field-decoder")).to_have_value("onvif")
    view.at("save").click()
    expect(view.at("saved")).to_be_visible(timeout=WAIT_MS)
    stored = city.get(f"/registry/devices/{device}", "engineer")
    assert (stored["name"], stored["decoder"], stored["lon"]) == ("Tên của người khác", "onvif", None)
    view.forget("422 (Unprocessable")
    view.forget("412 (Precondition Failed)")


def test_a_key_is_shown_once_and_what_its_device_sends_wrong_is_told_with_rule_field_and_text(
    open_devices: OpenDevices, city: City, device: str
) -> None:
    view = open_devices().open(f"?device={device}")
    view.at("tab-key").click()
    view.at("rotate").click()
    assert view.at("new-key").count() == 0, "one press is no decision"
    view.at("rotate").click()
    expect(view.at("key-text")).to_contain_text("iocd_", timeout=WAIT_MS)
    expect(view.at("key")).to_have_count(1)
    key = view.at("key-text").inner_text()

    event = {"specversion": "1.0", "id": "1", "source": device, "type": "camera.alarm"}
    body = json.dumps(event | {"time": "2020-01-01T00:00:00Z", "data": {"kind": "fall", "confidence": 1.0}})
    # A key is known to every process within two seconds.
    answer = httpx.Response(401)
    for _ in range(100):
        answer = city.service.ingest(body.encode(), key)
        if answer.status_code != 401:
            break
        view.page.wait_for_timeout(100)
    assert answer.json()["rejected"][0]["rule"] == "not_too_old", answer.text

    view.at("tab-refused").click()
    refused = view.at("refused").first
    expect(refused).to_contain_text("not_too_old", timeout=WAIT_MS)
    expect(refused.locator("code").first).to_have_text("time")
    refused.locator("summary").click()
    expect(refused.locator("pre")).to_contain_text("2020-01-01T00:00:00Z")
    view.at("tab-key").click()
    expect(view.at("key")).to_have_count(1, timeout=WAIT_MS)
    assert view.at("new-key").count() == 0


def test_maintenance_is_announced_in_local_time_listed_and_ended(
    open_devices: OpenDevices, city: City, device: str
) -> None:
    view = open_devices().open(f"?device={device}")
    view.at("tab-maintenance").click()
    view.at("maintain-from").fill("2030-01-02T07:30")
    view.at("span-4").click()
    expect(view.at("maintain-to")).to_have_value("2030-01-02T11:30")
    view.at("maintain-reason").fill("thay ống kính")
    view.at("announce").click()
    expect(view.at("window")).to_have_attribute("data-phase", "coming", timeout=WAIT_MS)
    (window,) = (
        each for each in city.get("/registry/maintenance", "engineer")["items"] if each["device"] == device
    )
    assert (window["from"], window["to"]) == ("2030-01-02T00:30:00.000Z", "2030-01-02T04:30:00.000Z")
    expect(view.at("window")).to_contain_text("07:30:00")

    view.at("open-calendar").click()
    calendar = view.at("calendar")
    expect(calendar.get_by_text(device).first).to_be_visible(timeout=WAIT_MS)
    view.page.keyboard.press("Escape")
    view.at("device-detail").get_by_test_id("end-window").click()  # the calendar has one, too
    expect(view.at("window")).to_have_attribute("data-phase", "never", timeout=WAIT_MS)


def test_a_file_says_what_it_would_do_and_what_is_wrong_by_line_before_anything_is_written(
    open_devices: OpenDevices, city: City, device: str
) -> None:
    view = open_devices().open()
    view.at("open-import").click()
    new = f"{device}-b"
    lines = ["id,kind,name,lat,lon", f"{device},gateway,Tên mới,,", f"{new},portal,Cổng,,", "x,camera,Sai,5,"]
    file = {"name": "thiết bị.csv", "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}
    view.at("import-file").set_input_files(files=[file])
    expect(view.at("import-plan")).to_contain_text("1 thiết bị mới, 1 thay đổi", timeout=WAIT_MS)
    expect(view.at("finding")).to_contain_text("row 4 (id 'x'): lon")
    changed = view.page.locator(f'[data-testid="import-change"][data-device="{device}"]')
    expect(changed).to_have_attribute("data-kind", "changed")
    expect(changed.locator("ins")).to_have_text("Tên mới")
    expect(view.at("import-write")).to_be_disabled()
    assert city.get(f"/registry/devices/{device}", "engineer")["name"] != "Tên mới"

    put(city, device, name="Của người khác")
    view.at("keep-valid").check()
    view.at("import-write").click()
    expect(changed.locator("del")).to_have_text("Của người khác", timeout=WAIT_MS)
    assert city.get(f"/registry/devices/{device}", "engineer")["name"] == "Của người khác"
    view.at("import-write").click()
    expect(view.at("import-written")).to_contain_text("2", timeout=WAIT_MS)
    assert city.get(f"/registry/devices/{device}", "engineer")["name"] == "Tên mới"

    with view.page.expect_download() as download:
        view.page.keyboard.press("Escape")
        view.at("export-csv").click()
    text = download.value.path().read_text("utf-8-sig")
    assert f"{new},portal,Cổng" in text
    view.forget("409 (Conflict)")


def test_the_list_keeps_still_under_the_pointer_and_figures_do_not(
    open_devices: OpenDevices, city: City, device: str
) -> None:
    put(city, f"{device}-b", name="B thử")
    view = open_devices().open(f"?q={device}&sort=name")
    order = view.at("device-row")
    expect(order).to_have_count(2)
    view.row(device).hover()
    put(city, device, name="A thử, tên mới")
    view.look_again()
    expect(view.row(device)).to_contain_text("A thử, tên mới")
    ids = [f"{device}-b", device]
    assert [row.get_attribute("data-device") for row in order.all()] == ids, "nothing has jumped"
    view.at("sort-again").click()
    expect(order.first).to_have_attribute("data-device", device)

    view.page.route(HEALTH, lambda route: route.abort())
    view.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(view.at("freshness")).to_have_attribute("data-failing", "true", timeout=WAIT_MS)
    view.page.unroute(HEALTH)
    expect(view.at("freshness")).to_have_attribute("data-failing", "false", timeout=WAIT_MS)
    view.forget("net::ERR_FAILED")


def test_those_on_duty_look_and_change_nothing(
    open_devices: OpenDevices, new_console: OpenConsole, city: City
) -> None:
    console = new_console().open()
    expect(console.at("to-devices")).to_have_count(0)
    console.page.goto(f"{city.url}/?device=cam-25975-01")
    console.at("device-health").click()
    expect(console.at("device-detail")).to_be_visible(timeout=WAIT_MS)
    expect(console.page.get_by_role("tab")).to_have_count(1)
    for closed in ("add-device", "open-import", "open-calendar", "export-csv"):
        assert console.at(closed).count() == 0
    expect(console.at("read-only")).to_be_visible()
    supervisor = open_devices("supervisor").open(f"?device={GATEWAY}")
    supervisor.at("tab-refused").click()
    expect(supervisor.at("tab-registration")).to_have_count(0)
    engineer = new_console("engineer").open()
    engineer.at("to-devices").click()
    expect(engineer.at("device-row").first).to_be_visible(timeout=WAIT_MS)


def test_the_list_is_walked_and_a_device_opened_by_keys_alone(open_devices: OpenDevices) -> None:
    view = open_devices().open("?sort=name")
    page = view.page
    page.keyboard.press("/")
    expect(view.at("device-search")).to_be_focused()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement?.dataset.link !== undefined"):
            break
    first = page.evaluate("document.activeElement.dataset.link")
    page.keyboard.press("End")
    last = page.locator("[data-link]:focus")
    expect(last).not_to_have_attribute("data-link", first)
    assert page.evaluate("document.querySelectorAll('[data-testid=device-row]').length") < 60
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-link]:focus")).to_have_count(1)
    chosen = page.locator("[data-link]:focus").get_attribute("data-link")
    page.keyboard.press("Enter")
    expect(view.at("device-detail")).to_have_attribute("data-device", str(chosen))
    page.keyboard.press("Escape")
    expect(view.at("device-detail")).to_have_count(0)
    expect(page.locator("[data-link]:focus")).to_have_attribute("data-link", str(chosen))


@pytest.mark.parametrize(("theme", "lang"), [("dark", "vi"), ("light", "en")])
def test_no_rule_of_accessibility_is_broken_and_nothing_is_wider_than_the_screen(
    open_devices: OpenDevices, device: str, theme: str, lang: str
) -> None:
    view = open_devices(theme=theme, lang=lang, tools=True).open()
    assert violations(view.page) == []
    view.open(f"?device={device}")
    for tab in ("health", "registration", "refused", "key", "maintenance", "service"):
        view.at(f"tab-{tab}").click()
        expect(view.at("device-detail").get_by_text(re.compile("Đang tải|Loading"))).to_have_count(0)
        assert violations(view.page) == [], tab
        assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
    for dialog in ("open-import", "open-calendar", "add-device", "remove"):
        view.at(dialog).click()
        assert violations(view.page) == [], dialog
        view.page.keyboard.press("Escape")
    view.page.set_viewport_size({"width": 390, "height": 800})
    view.at("close-detail").click()
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(view.page) == []


def test_a_device_is_disabled_enabled_and_removed_by_keyboard_after_the_page_said_what_that_means(
    open_devices: OpenDevices, city: City, device: str
) -> None:
    view = open_devices().open(f"?device={device}")
    view.at("tab-health").focus()
    for _ in range(5):
        view.page.keyboard.press("ArrowRight")
    expect(view.at("tab-service")).to_be_focused()
    view.at("disable").press("Enter")
    expect(view.at("outage")).to_contain_text("device_disabled")
    view.page.keyboard.press("Escape")
    expect(view.at("outage")).to_have_count(0)
    expect(view.at("service-state")).to_have_text("Thiết bị đang được dùng.")

    view.at("disable").press("Enter")
    view.at("outage-reason").fill("đổi cột")
    view.at("outage-reason").press("Enter")
    expect(view.at("detail-states").locator("[data-state=disabled]")).to_have_text("Ngừng dùng")
    expect(view.at("service-state")).to_contain_text("bởi engineer")
    view.at("tab-health").click()
    expect(view.at("disabled-note")).to_contain_text("đổi cột")
    view.at("tab-service").click()
    view.at("enable").press("Enter")
    expect(view.at("disable")).to_be_visible()

    view.at("remove").press("Enter")
    expect(view.at("outage-confirm")).to_be_enabled()
    put(city, device, name="Tên khác")
    view.at("outage-confirm").press("Enter")
    expect(view.at("outage-refused")).to_contain_text("Người khác vừa sửa")
    view.forget("412")
    expect(view.at("outage-confirm")).to_be_enabled()
    view.at("outage-confirm").press("Enter")
    expect(view.at("device-detail")).to_have_count(0, timeout=WAIT_MS)
    view.at("device-search").fill(device)
    expect(view.row(device)).to_have_count(0)
    gone = httpx.get(f"{city.url}/api/v1/registry/devices/{device}", headers=city.headers("admin"))
    assert gone.status_code == 404
