"""Incidents on the screen: they appear, are shared, and nobody overwrites anybody."""

from playwright.sync_api import WebSocketRoute, expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import WAIT_MS


def test_an_incident_appears_without_reload(new_console: OpenConsole, city: City) -> None:
    console = new_console(drawn=True).open()
    console.page.evaluate("() => { window.sameDocument = true }")

    incident = city.raise_incident()

    expect(console.row(incident)).to_contain_text("Xe chạy ngược chiều")
    expect(console.row(incident)).to_contain_text("Phường Thủ Dầu Một")
    assert console.page.evaluate("() => window.sameDocument")


def test_a_device_is_called_by_its_name(new_console: OpenConsole, city: City) -> None:
    incident = city.incident
    known = city.get(f"/incidents/{incident}")
    name = next(d["name"] for d in city.get("/devices")["items"] if d["id"] == known["source"])
    assert known["source"] in known["why"]["summary"]["vi"]

    console = new_console().open()
    console.show(incident)

    expect(console.row(incident)).to_contain_text(name)
    expect(console.at("panel")).to_contain_text(f"Camera {name} phát hiện")
    assert known["source"] not in console.at("panel").inner_text().split("sự kiện làm căn cứ")[0]


def test_an_acknowledgement_shows_on_every_console(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident()
    first, second = new_console("operator").open(), new_console("supervisor").open()
    second.show(incident)
    expect(second.at("panel-handling")).to_have_text("Mới")

    first.show(incident)
    first.at("cmd-acknowledge").click()

    for console in (first, second):
        expect(console.at("panel-handling")).to_have_text("Đã tiếp nhận")
        expect(console.row(incident)).to_contain_text("Đã tiếp nhận")
        expect(console.at("panel").get_by_role("list").last).to_contain_text("Tiếp nhận")
    assert city.get(f"/incidents/{incident}")["handling"] == "acknowledged"

    # It came as what it changes, from which each console has made what the service has.
    for console in (first, second):
        given = [change for frame in console.frames if frame["type"] == "ev" for change in frame["events"]]
        assert any(change["op"] == "patch" and change["incident"]["id"] == incident for change in given)
        for _ in range(WAIT_MS // 100):
            stored, known = city.get(f"/incidents/{incident}"), console.feed(f"incident('{incident}')")
            if known["rev"] == stored["rev"]:
                break
            console.page.wait_for_timeout(100)
        assert known == {name: stored[name] for name in known}


def test_a_conflict_is_shown_and_nothing_is_overwritten(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident()
    console = new_console()
    deaf = False

    def relay(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda frame: None if deaf else socket.send(frame))

    # The console must not hear of the other person's step before it takes its own.
    console.page.route_web_socket("**/api/v1/feed", relay)
    console.open()
    console.show(incident)
    expect(console.at("cmd-assign")).to_be_enabled()
    deaf = True
    city.command(incident, "assign", assignee="Đội CSGT số 2")

    console.at("cmd-acknowledge").click()

    expect(console.at("cmd-conflict")).to_contain_text("Người khác vừa đổi sự cố này")
    expect(console.at("panel-handling")).to_have_text("Đã giao")
    now = city.get(f"/incidents/{incident}")
    assert (now["handling"], now["assignee"]) == ("assigned", "Đội CSGT số 2")
    # The browser itself reports every 409.
    assert all("409" in complaint for complaint in console.complaints)
    console.complaints.clear()


def test_the_queue_is_walked_by_keyboard_alone(new_console: OpenConsole, city: City) -> None:
    incidents = {city.raise_incident(), city.raise_incident()}
    console = new_console().open()
    for incident in incidents:
        expect(console.row(incident)).to_be_visible()
    keyboard, page = console.page.keyboard, console.page
    focused = "() => document.activeElement?.closest('[data-incident-id]')?.dataset.incidentId ?? null"

    keyboard.press("j")
    page.wait_for_function(f"({focused})()")
    first = page.evaluate(focused)
    keyboard.press("j")
    page.wait_for_function(f"({focused})() !== '{first}'")
    keyboard.press("k")
    page.wait_for_function(f"({focused})() === '{first}'")

    keyboard.press("Enter")
    expect(console.at("panel")).to_have_attribute("data-incident-id", first)
    before = console.feed(f"incident('{first}').handling")
    assert before == "new"
    keyboard.press("a")
    expect(console.at("panel-handling")).to_have_text("Đã tiếp nhận")

    keyboard.press("Escape")
    expect(console.at("panel")).to_have_count(0)
    page.wait_for_function(f"({focused})() === '{first}'")
    keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
