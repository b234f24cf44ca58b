"""The checklist of an incident: by mouse, by keyboard, under two people, and before an incident ends."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.test_screen import violations

WARD = "25942"
"""Its cameras are for these tests alone."""


@pytest.fixture(autouse=True)
def nothing_left(city: City) -> Iterator[None]:
    """End what a test has raised."""
    yield
    city.end_all(WARD)


def test_a_step_claims_the_incident_and_its_answer_opens_the_branch(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.raise_incident(WARD)
    console, other = (new_console(user).open(f"?incident={incident}") for user in ("operator", "supervisor"))
    expect(console.at("checklist-progress")).to_have_text("0/1")
    expect(console.at("step")).to_have_count(1)

    console.page.locator('[data-step="verify"] [data-answer="yes"]').click()

    for each in (console, other):
        expect(each.at("panel-handling")).to_have_text("Đã giao")
        expect(each.at("panel")).to_contain_text("operator")
        expect(each.at("checklist-progress")).to_have_text("1/5")
        expect(each.at("step")).to_have_count(5)
    expect(console.row(incident)).to_contain_text("1/5")
    expect(console.at("step").nth(2)).to_contain_text("(bắt buộc)")
    console.page.keyboard.press("l")
    expect(console.at("checklist")).to_contain_text("Wrong-way driver")
    expect(console.at("step").nth(2)).to_contain_text("Tell traffic police")


def test_the_whole_list_is_done_by_keyboard(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident(WARD)
    console = new_console().open(f"?incident={incident}")
    expect(console.at("step")).to_have_count(1)
    keyboard = console.page.keyboard

    keyboard.press("1")
    expect(console.page.locator('[data-answer="yes"]')).to_be_focused()
    keyboard.press("Enter")
    expect(console.at("checklist-progress")).to_have_text("1/5")
    keyboard.press("3")
    expect(console.at("checklist-progress")).to_have_text("2/5")
    keyboard.press("c")
    expect(console.page.locator('[data-step="crash"] [data-answer="yes"]')).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(console.at("checklist-progress")).to_have_text("3/5")
    keyboard.press("5")
    expect(console.at("step-words")).to_be_focused()
    keyboard.press("Escape")
    expect(console.at("step-words")).to_have_count(0)
    expect(console.at("panel")).to_be_visible()
    keyboard.press("5")
    keyboard.type("xe đã dừng")
    console.at("step-confirm").click()
    expect(console.at("checklist-progress")).to_have_text("4/5")
    expect(console.page.locator('[data-step="outcome"]')).to_contain_text("xe đã dừng")
    assert city.get(f"/incidents/{incident}")["checklist"]["open"] == []

    keyboard.press("r")
    expect(console.at("open-steps")).to_have_count(0)
    console.at("note-input").fill("đã xử lý")
    console.at("cmd-confirm").click()
    expect(console.at("panel-handling")).to_have_text("Đã xử lý")


def test_an_incident_ends_with_steps_open_only_by_a_supervisors_reason(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.raise_incident(WARD)
    console = new_console().open(f"?incident={incident}")
    expect(console.at("step")).to_have_count(1)
    console.page.keyboard.press("r")
    expect(console.at("open-steps")).to_contain_text("Còn 1 bước bắt buộc")
    expect(console.at("open-steps")).to_contain_text("Xem lại hình")
    expect(console.at("cmd-confirm")).to_be_disabled()
    expect(console.at("override-input")).to_have_count(0)

    supervisor = new_console("supervisor").open(f"?incident={incident}")
    expect(supervisor.at("step")).to_have_count(1)
    supervisor.page.keyboard.press("r")
    supervisor.at("note-input").fill("không còn xe")
    supervisor.at("cmd-confirm").click()
    expect(supervisor.at("panel").get_by_role("alert")).to_have_text(
        "Hãy ghi lý do kết thúc khi còn bước bắt buộc."
    )
    supervisor.at("override-input").fill("camera đã hỏng")
    supervisor.at("cmd-confirm").click()

    for each in (console, supervisor):
        expect(each.at("panel-handling")).to_have_text("Đã xử lý")
        expect(each.at("panel")).to_contain_text("Báo cấp 1")
    expect(supervisor.at("panel")).to_contain_text("camera đã hỏng")


def test_a_skipped_step_needs_its_reason_and_is_told(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident(WARD)
    console = new_console().open(f"?incident={incident}")
    console.at("step-skip").click()
    expect(console.at("checklist")).to_contain_text("Trưởng ca sẽ được báo.")
    console.at("step-confirm").click()
    expect(console.at("checklist").get_by_role("alert")).to_have_text("Hãy nhập nội dung.")
    console.at("step-words").fill("mất hình")
    console.at("step-confirm").click()
    expect(console.at("step").first).to_have_attribute("data-state", "skipped")
    expect(console.at("panel")).to_contain_text("Báo cấp 1")
    assert city.notice_of(incident) == "step_skipped"


def test_two_people_at_one_step_the_second_sees_what_is(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident(WARD)
    console = new_console()
    deaf = False

    def relay(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda frame: None if deaf else socket.send(frame))

    console.page.route_web_socket("**/api/v1/feed", relay)
    console.open(f"?incident={incident}")
    expect(console.at("step")).to_have_count(1)
    deaf = True
    city.command(incident, "step", step="verify", answer="no")

    console.page.locator('[data-step="verify"] [data-answer="yes"]').click()

    expect(console.at("cmd-conflict")).to_contain_text("Người khác vừa đổi sự cố này")
    expect(console.page.locator('[data-step="verify"]')).to_contain_text("supervisor")
    expect(console.page.locator('[data-step="cause"]')).to_be_visible()
    history = city.get(f"/incidents/{incident}/history")["items"]
    assert [row["details"]["answer"] for row in history if row["op"] == "step"] == ["no"]
    assert all("409" in complaint for complaint in console.complaints)
    console.complaints.clear()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_in_the_checklist(new_console: OpenConsole, city: City, theme: str) -> None:
    incident = city.raise_incident(WARD)
    city.command(incident, "step", step="verify", answer="yes")
    city.command(incident, "skip", step="call-police", note="đang trực tiếp ở đó")
    console = new_console("supervisor", theme=theme).open(f"?incident={incident}")
    expect(console.at("step")).to_have_count(5)
    console.page.locator('[data-step="crash"]').get_by_test_id("step-skip").click()
    assert violations(console.page) == []
    console.page.keyboard.press("Escape")
    console.at("cmd-resolve").click()
    expect(console.at("open-steps")).to_be_visible()
    assert violations(console.page) == []
