"""The link to the service: it breaks and comes back without a gap, and the screen never pretends."""

import json
import re
from typing import Any

from playwright.sync_api import WebSocketRoute, expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import WAIT_MS


def test_the_network_drops_and_returns_without_a_gap(new_console: OpenConsole, city: City) -> None:
    console = new_console().open()
    link = console.at("link-state")
    before = city.raise_incident()
    expect(console.row(before)).to_be_visible()
    epoch = console.feed("epoch")
    # What is already on its way (the map's library) may arrive first: this is about the feed.
    console.page.wait_for_load_state("networkidle")

    console.context.set_offline(True)
    expect(link).to_have_attribute("data-state", "offline")
    expect(link).to_contain_text("DỮ LIỆU KHÔNG TRỰC TIẾP")
    missed = [city.raise_incident(), city.raise_incident()]
    city.command(before, "acknowledge")
    assert all(console.feed(f"incident('{incident}')") is None for incident in missed)
    console.context.set_offline(False)

    console.wait_live()
    expect(link).to_have_attribute("data-stale", "false")
    for incident in missed:
        expect(console.row(incident)).to_be_visible()
    expect(console.row(before)).to_contain_text("Đã tiếp nhận")
    assert console.feed("epoch") == epoch
    frames = [frame for frame in console.frames if frame["type"] in {"welcome", "snap", "ev"}]
    kinds = [frame.get("mode") or frame["type"] for frame in frames]
    assert kinds[0] == "snapshot"
    assert kinds.count("resume") == 1
    assert "snap" not in kinds[kinds.index("resume") :]
    position = next(frame["offset"] for frame in frames if frame["type"] == "snap" and frame["last"])
    for frame in frames:
        if frame["type"] == "ev":
            assert frame["from"] == position + 1
            position = frame["to"]
    assert console.feed("offset") == position
    # The browser itself reports every failed attempt.
    assert all("ERR_INTERNET_DISCONNECTED" in complaint for complaint in console.complaints)
    console.complaints.clear()


def test_link_state_and_data_age_are_shown(new_console: OpenConsole, city: City) -> None:
    console = new_console()
    silent = False

    def relay(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda frame: None if silent else socket.send(frame))

    console.page.route_web_socket("**/api/v1/feed", relay)
    console.open()
    link = console.at("link-state")
    expect(link).to_have_attribute("data-state", "live")
    expect(link).to_contain_text("Trực tiếp")
    city.raise_incident()
    expect(link).to_contain_text(re.compile(r"Tin cuối\s*[0-5] giây\s*Sự kiện\s*[0-9] giây"))
    measured = link.get_by_title(re.compile(r"đến màn hình này: một nửa trong vòng [\d.]+ ms, 99 %"))
    expect(measured).to_contain_text("Sự kiện", timeout=WAIT_MS)

    # Nothing closes, nothing fails; there is only silence, and that must show as well.
    silent = True

    expect(link).to_have_attribute("data-stale", "true", timeout=WAIT_MS)
    expect(link).to_contain_text("Im lặng")
    expect(link).to_contain_text("DỮ LIỆU KHÔNG TRỰC TIẾP")
    expect(link).to_contain_text(re.compile(r"dừng từ \d+ giây trước"))


def test_what_the_service_says_of_the_list_stands_beside_the_link(new_console: OpenConsole) -> None:
    console = new_console()
    sockets: list[WebSocketRoute] = []

    def between(route: WebSocketRoute) -> None:
        route.connect_to_server()
        sockets.append(route)

    console.page.route_web_socket("**/api/v1/feed", between)
    console.open()
    expect(console.at("feed-delayed")).to_have_count(0)
    for code in ("incidents_delayed", "incidents_cut"):
        sockets[0].send(json.dumps({"type": "notice", "level": "warning", "code": code}))
    expect(console.at("feed-delayed")).to_have_text("Sự cố mới đang đến chậm")
    expect(console.at("feed-cut")).to_have_text("Chỉ hiện những sự cố nặng nhất")
    sockets[0].send(json.dumps({"type": "notice", "level": "info", "code": "incidents_current"}))
    expect(console.at("feed-delayed")).to_have_count(0)


def test_a_patch_without_its_base_is_not_guessed_at_but_begun_anew(new_console: OpenConsole) -> None:
    console = new_console()
    sockets: list[WebSocketRoute] = []
    said: list[dict[str, Any]] = []

    def between(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def say(text: str | bytes) -> None:
            said.append(json.loads(text))
            server.send(text)

        route.on_message(say)
        sockets.append(route)

    console.page.route_web_socket("**/api/v1/feed", between)
    console.open()
    assert "patch" in said[0]["caps"] and "lost" not in said[0]
    patch = {"op": "patch", "rev": 7, "incident": {"id": "unheard-of", "rev": 7, "count": 3}}
    for _ in range(WAIT_MS // 100):
        if any("lost" in frame for frame in said):
            break
        if console.feed("connected") and (at := console.feed("offset")) is not None:
            # Where a change of the service came first, this one is a repeat: once more, then.
            changes = {"from": at + 1, "to": at + 1, "events": [{"o": at + 1} | patch]}
            sockets[-1].send(json.dumps({"type": "ev", "epoch": console.feed("epoch")} | changes))
        console.page.wait_for_timeout(100)

    console.wait_live()
    begun = next(frame for frame in said if "lost" in frame)
    assert begun["lost"] == "base" and "resume" not in begun
    assert console.feed("incident('unheard-of')") is None


def test_open_early_warnings_are_counted_in_the_console_and_lead_to_their_page(
    new_console: OpenConsole,
) -> None:
    console = new_console()
    warning = {"stage": "crossed", "brake": "overdue"}
    console.page.route(
        "**/api/v1/warnings?*",
        lambda route: route.fulfill(json={"items": [warning, {"stage": "forecast"}], "brakes": []}),
    )
    console.open()
    badge = console.at("warnings-badge")
    expect(badge).to_have_text("2")
    expect(badge).to_have_attribute("aria-label", re.compile("2 cảnh báo sớm, 1 đã vượt ngưỡng"))
    expect(badge).to_have_attribute("href", "/leader")
