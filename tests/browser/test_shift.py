"""The hand-over of a shift between two consoles: live, by keyboard, in both languages and themes."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import WAIT_MS, Console
from tests.browser.test_screen import violations

WARD = "25750"
"""Its cameras are for these tests alone."""


@pytest.fixture(autouse=True)
def nothing_left(city: City) -> Iterator[None]:
    """End what a test has raised."""
    yield
    city.end_all(WARD)


def running_shift(city: City, lead: str) -> None:
    """Let `lead` lead a running shift, whatever another test has left."""
    other = "admin" if lead == "supervisor" else "supervisor"
    if city.get("/shifts/current")["shift"] is None:
        city.post("/shifts", lead, idem="browser-begin")
    shift = city.get("/shifts/current")["shift"]
    if shift["state"] == "handing_over":
        city.hand_over("cancel", shift["lead"])
    if city.get("/shifts/current")["shift"]["lead"] != lead:
        city.hand_over("start", other)
        for op in ("open", "accept_rest", "pass"):
            city.hand_over(op, lead)


def accept_rest(console: Console) -> None:
    """Accept what is left until the shift may pass: other things may happen in the city meanwhile."""
    deadline_s = time.monotonic() + 2 * WAIT_MS / 1_000
    rest = console.at("shift-rest")
    while not console.at("shift-pass").is_enabled():
        if rest.is_visible() and rest.is_enabled():
            rest.click()
        console.page.wait_for_timeout(100)
        assert time.monotonic() < deadline_s, console.at("shift").inner_text()


def opened(console: Console) -> Console:
    """Open the dialog by its key."""
    console.open().page.keyboard.press("h")
    expect(console.at("shift-facts")).to_be_visible(timeout=WAIT_MS)
    return console


def test_a_shift_goes_from_one_console_to_another(new_console: OpenConsole, city: City) -> None:
    first = city.raise_incident(WARD)
    running_shift(city, "supervisor")
    outgoing, incoming = opened(new_console("supervisor")), opened(new_console("admin"))
    row = f'[data-testid="shift-item"][data-ref="{first}"]'
    outgoing.at("shift-start").click()
    outgoing.page.locator(row).get_by_test_id("item-note").click()
    outgoing.at("shift-words").fill("CSGT đang tới")
    outgoing.at("shift-send").click()
    expect(outgoing.page.locator(row)).to_contain_text("CSGT đang tới")

    expect(incoming.page.locator(row)).to_contain_text("CSGT đang tới", timeout=WAIT_MS)
    expect(incoming.at("item-accept")).to_have_count(0)
    incoming.at("shift-open").click()
    expect(outgoing.at("shift-incoming")).to_have_text("admin", timeout=WAIT_MS)
    expect(incoming.at("shift-pass")).to_be_disabled()
    incoming.page.locator(row).get_by_test_id("item-question").click()
    incoming.at("shift-send").click()
    expect(incoming.at("shift").get_by_role("alert")).to_have_text("Hãy nhập nội dung.")
    incoming.at("shift-words").fill("đã gọi lại chưa?")
    incoming.at("shift-send").click()
    expect(outgoing.page.locator(row)).to_contain_text("đã gọi lại chưa?", timeout=WAIT_MS)
    accept_rest(incoming)

    late = city.raise_incident(WARD)
    expect(incoming.page.locator(f'[data-ref="{late}"]')).to_contain_text("mới", timeout=WAIT_MS)
    expect(incoming.at("shift-pass")).to_be_disabled()
    incoming.page.locator(f'[data-ref="{late}"]').get_by_test_id("item-accept").click()
    accept_rest(incoming)
    incoming.at("shift-pass").click()

    expect(incoming.at("shift-passed")).to_be_visible()
    expect(incoming.at("shift-facts")).to_contain_text("admin")
    expect(outgoing.at("shift-facts")).to_contain_text("admin", timeout=WAIT_MS)
    report = incoming.at("shift-report").first.get_attribute("href")
    assert report
    page = incoming.context.new_page()
    page.goto(city.url + report)
    expect(page.get_by_role("heading")).to_contain_text("Biên bản giao ca")
    expect(page.get_by_role("table")).to_contain_text("đã gọi lại chưa?")
    assert page.evaluate("() => getComputedStyle(document.querySelector('th')).borderTopWidth") == "1px"


def test_the_list_is_decided_by_keyboard_and_a_form_is_left_before_the_dialog(
    new_console: OpenConsole, city: City
) -> None:
    incidents = {city.raise_incident(WARD), city.raise_incident(WARD)}
    running_shift(city, "supervisor")
    city.hand_over("start", "supervisor")
    console = opened(new_console("admin"))
    console.at("shift-open").click()
    expect(console.at("accept-selected")).to_be_visible()
    keyboard, page = console.page.keyboard, console.page
    keyboard.press("j")
    ref = page.evaluate("() => document.activeElement.closest('tr').dataset.ref")
    keyboard.press("j")
    assert page.evaluate("() => document.activeElement.closest('tr').dataset.ref") != ref
    keyboard.press("k")
    keyboard.press("a")
    row = page.locator(f'[data-testid="shift-item"][data-ref="{ref}"]')
    expect(row).to_have_attribute("data-verdict", "accepted")
    for incident in incidents - {ref}:
        page.locator(f'[data-ref="{incident}"] input').focus()
        keyboard.press("Space")
    keyboard.press("o")
    expect(console.at("shift-words")).to_be_focused()
    keyboard.press("Escape")
    expect(console.at("shift-words")).to_have_count(0)
    expect(console.at("shift")).to_be_visible()
    keyboard.press("Escape")
    expect(console.at("shift")).to_have_count(0)
    city.hand_over("cancel", "supervisor")


def test_who_may_not_lead_sees_and_does_nothing(new_console: OpenConsole, city: City) -> None:
    running_shift(city, "supervisor")
    city.hand_over("start", "supervisor")
    operator = opened(new_console("operator"))
    expect(operator.at("shift-progress")).to_be_visible()
    for control in ("shift-open", "shift-cancel", "item-note", "item-accept"):
        expect(operator.at(control)).to_have_count(0)
    ward = new_console("ward").open()
    expect(ward.at("shift-button")).to_have_count(0)
    ward.page.keyboard.press("h")
    expect(ward.at("shift")).to_have_count(0)
    city.hand_over("cancel", "supervisor")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_in_the_hand_over(new_console: OpenConsole, city: City, theme: str) -> None:
    assert city.raise_incident(WARD)
    running_shift(city, "supervisor")
    console = opened(new_console("admin", theme=theme))
    console.at("shift-start-for").click()
    assert violations(console.page) == []
    console.at("shift-words").fill("trưởng ca nghỉ ốm")
    console.at("shift-send").click()
    console.at("shift-open").click()
    console.at("item-question").first.click()
    assert violations(console.page) == []
    console.page.keyboard.press("Escape")
    console.page.keyboard.press("Escape")
    # Keys are the console's again once the dialog is gone, and the language another once its words are.
    expect(console.at("shift")).to_have_count(0)
    console.page.keyboard.press("l")
    expect(console.page.get_by_role("button", name="Shift hand-over")).to_be_visible()
    console.page.keyboard.press("h")
    expect(console.page.get_by_role("heading", name="Shift hand-over")).to_be_visible()
    expect(console.at("accept-selected")).to_be_visible()
    assert violations(console.page) == []
    city.hand_over("cancel", "admin")
