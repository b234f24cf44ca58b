"""Playback: the past on the screen, at one time for all layers, while the present still calls."""

import json
import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import WAIT_MS, Console
from tests.browser.test_screen import violations

WARD = "25747"


def moment(iso: str, seconds: float = 0.0) -> datetime:
    return datetime.fromisoformat(iso) + timedelta(seconds=seconds)


def address(at: datetime, speed: int = 1) -> str:
    return f"?replay={quote(at.astimezone(UTC).isoformat())}&range=15&speed={speed}"


def seek(console: Console, at: datetime) -> None:
    """Type a moment as a person would, in Vietnamese time."""
    local = at.astimezone(UTC) + timedelta(hours=7)
    console.at("replay-at").fill(local.strftime("%Y-%m-%dT%H:%M:%S"))
    console.at("replay-at").press("Enter")
    console.at("replay-at").blur()


def shown_at(console: Console) -> datetime:
    return moment(console.at("replay-moment").get_attribute("data-at") or "")


def ended(city: City, ward: str = WARD) -> tuple[str, datetime, datetime]:
    """Let an incident begin and end; its id and both moments, with a second or more between."""
    incident = city.raise_incident(ward)
    told = city.get(f"/incidents/{incident}/history")["items"]
    begun = moment(min(item["at"] for item in told))
    wait_until(begun + timedelta(seconds=3))
    city.end(incident)
    told = city.get(f"/incidents/{incident}/history")["items"]
    over = moment(next(item["at"] for item in told if item["op"] == "resolve"))
    wait_until(over + timedelta(seconds=3))
    return incident, begun, over


def wait_until(at: datetime) -> None:
    """The past has to be past: the service's clock is ours."""
    while (left := (at - datetime.now(UTC)).total_seconds()) > 0:
        time.sleep(left)


def test_an_incident_is_there_from_its_start_to_its_end_and_not_otherwise(
    new_console: OpenConsole, city: City
) -> None:
    incident, begun, over = ended(city)
    console = new_console().open(address(begun - timedelta(seconds=5)))
    expect(console.at("replay-badge")).to_have_text("XEM LẠI")
    expect(console.at("replay-said")).not_to_contain_text("Đang tải", timeout=WAIT_MS)
    expect(console.row(incident)).to_have_count(0)

    seek(console, over - timedelta(seconds=1))
    expect(console.row(incident)).to_be_visible(timeout=WAIT_MS)
    console.show(incident)
    expect(console.at("panel-handling")).to_have_text("Mới")
    expect(console.at("replay-locked")).to_contain_text("Về trực tiếp")
    expect(console.page.locator('[data-testid^="cmd-"]')).to_have_count(0)

    seek(console, begun - timedelta(seconds=5))
    expect(console.at("panel")).to_have_text(re.compile("Lúc này chưa có sự cố này"), timeout=WAIT_MS)

    seek(console, over + timedelta(seconds=2))
    expect(console.at("panel-handling")).to_have_text("Đã xử lý")
    console.page.keyboard.press("Escape")
    expect(console.row(incident)).to_have_count(0)


def test_devices_show_what_they_measured_then(new_console: OpenConsole, city: City) -> None:
    source = f"cam-{WARD}-09"
    now = datetime.now(UTC)
    for at, vehicles in ((now - timedelta(minutes=4), 437), (now - timedelta(minutes=2), 612)):
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": source,
            "type": "camera.count",
            "time": at.isoformat(),
            "data": {"vehicles": vehicles},
        }
        answer = city.service.ingest(json.dumps(event).encode(), city.service.device_key(f"gw-{WARD}"))
        assert answer.json()["accepted"] == 1, answer.text
    deadline_s = time.monotonic() + WAIT_MS / 1000
    while len(city.get(f"/history/camera?source={source}")["items"]) < 2:
        assert time.monotonic() < deadline_s, "what was sent is not stored"
        time.sleep(0.05)
    console = new_console().open(address(now - timedelta(minutes=3, seconds=30)) + f"&device={source}")
    expect(console.page.locator("main")).to_contain_text("437", timeout=WAIT_MS)
    expect(console.page.locator("main")).not_to_contain_text("612")
    seek(console, now - timedelta(minutes=1, seconds=30))
    expect(console.page.locator("main")).to_contain_text("612", timeout=WAIT_MS)


def test_keys_alone_play_step_and_return(new_console: OpenConsole) -> None:
    console = new_console().open()
    expect(console.at("replay-bar")).to_have_count(0)
    console.page.keyboard.press("Shift+R")
    expect(console.at("replay-bar")).to_be_visible()
    begin = shown_at(console)
    keys = console.page.keyboard
    keys.press("ArrowRight")
    assert shown_at(console) - begin == timedelta(seconds=10)
    keys.press("ArrowLeft")
    keys.press("Shift+ArrowLeft")
    assert shown_at(console) - begin == timedelta(seconds=-60)
    keys.press("Shift+ArrowRight")
    assert shown_at(console) == begin
    keys.press(">")
    expect(console.at("replay-speed")).to_have_value("2")
    expect(console.page).to_have_url(re.compile("speed=2"))
    keys.press(" ")
    console.page.wait_for_function(
        "(begin) => Date.parse(document.querySelector('[data-testid=replay-moment]').dataset.at) > begin",
        arg=int(begin.timestamp() * 1000),
        timeout=WAIT_MS,
    )
    keys.press(" ")
    expect(console.at("replay-play")).to_have_text("Phát")
    console.at("replay-slider").focus()
    before = shown_at(console)
    keys.press("ArrowRight")
    assert shown_at(console) > before
    console.at("replay-slider").blur()
    keys.press("Escape")
    expect(console.at("replay-bar")).to_have_count(0)
    assert "replay=" not in console.page.url


def test_a_live_alarm_is_counted_during_replay_and_there_on_return(
    new_console: OpenConsole, city: City
) -> None:
    console = new_console().open(address(datetime.now(UTC) - timedelta(minutes=10)))
    expect(console.at("replay-bar")).to_be_visible()
    # A tone is made by an oscillator: what is started is heard.
    console.page.evaluate(
        "() => { window.tones = 0; const start = OscillatorNode.prototype.start;"
        " OscillatorNode.prototype.start = function (at) { tones++; return start.call(this, at) } }"
    )
    console.page.get_by_role("button", name="Bật âm báo").click()
    incident = city.raise_incident(WARD)
    expect(console.at("replay-fresh")).to_have_text("1 sự cố mới trực tiếp", timeout=WAIT_MS)
    expect(console.row(incident)).to_have_count(0)
    console.page.wait_for_function("() => window.tones > 0", timeout=WAIT_MS)
    console.at("replay-fresh").click()
    expect(console.row(incident)).to_be_visible(timeout=WAIT_MS)
    assert console.feed("connected")
    assert console.feed(f"incident('{incident}').handling") == "new"
    city.end(incident)


def test_what_has_no_data_says_so(new_console: OpenConsole) -> None:
    console = new_console().open(address(datetime.now(UTC) - timedelta(days=2)))
    expect(console.at("replay-said")).to_contain_text("Không có số liệu thiết bị", timeout=WAIT_MS)
    expect(console.at("replay-said")).to_contain_text("chỉ còn lưu từ")


def test_a_city_with_too_much_to_show_is_shown_in_coarser_steps(new_console: OpenConsole) -> None:
    console = new_console()
    steps: list[int] = []

    def answer(route: Route) -> None:
        steps.append(int(parse_qs(urlsplit(route.request.url).query)["step_s"][0]))
        if len(set(steps)) > 1:
            return route.continue_()
        return route.fulfill(status=422, json={"errors": [{"rule": "too_much", "detail": "too many values"}]})

    console.page.route("**/playback/states?*", answer)
    console.open(address(datetime.now(UTC) - timedelta(minutes=10)))
    expect(console.at("replay-said")).to_contain_text("bước thô hơn", timeout=WAIT_MS)
    assert steps[-1] >= 4 * steps[0]
    assert all("422" in complaint for complaint in console.complaints)
    console.complaints.clear()


def test_ward_staff_play_back_their_ward_only(new_console: OpenConsole, city: City) -> None:
    foreign, _, over = ended(city, "25750")
    at = address(over - timedelta(seconds=1))
    console = new_console().open(at)
    expect(console.row(foreign)).to_be_visible(timeout=WAIT_MS)
    ward = new_console("ward").open(at)
    expect(ward.at("replay-said")).not_to_contain_text("Đang tải", timeout=WAIT_MS)
    expect(ward.row(foreign)).to_have_count(0)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_in_either_language(new_console: OpenConsole, theme: str) -> None:
    console = new_console(theme=theme).open(address(datetime.now(UTC) - timedelta(minutes=10)))
    expect(console.at("replay-said")).not_to_contain_text("Đang tải", timeout=WAIT_MS)
    assert violations(console.page) == []
    console.at("lang-switch").click()
    expect(console.at("replay-badge")).to_have_text("REPLAY")
    assert violations(console.page) == []
