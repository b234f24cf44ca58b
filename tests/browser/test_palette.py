"""Everything by typing: the command palette, and one console over two screens."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import WAIT_MS, Console, until
from tests.browser.test_screen import violations


def type_into(console: Console, words: str) -> None:
    console.page.keyboard.press("Control+k")
    console.at("palette-input").fill(words)


def test_an_incident_is_acknowledged_by_typing_alone_and_without_diacritics(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.raise_incident()
    console = new_console().open()
    expect(console.row(incident)).to_be_visible(timeout=WAIT_MS)
    type_into(console, incident)
    expect(console.at("palette").get_by_role("option")).to_have_count(1)
    console.page.keyboard.press("Enter")
    expect(console.at("panel")).to_have_attribute("data-incident-id", incident)
    type_into(console, "tiep nhan")
    console.page.keyboard.press("Enter")
    expect(console.at("panel-handling")).to_have_text("Đã tiếp nhận")
    city.end(incident)


def test_arrow_keys_walk_the_list_and_say_where_they_stand(new_console: OpenConsole) -> None:
    console = new_console().open()
    type_into(console, "")
    entry = console.at("palette-input")
    first = entry.get_attribute("aria-activedescendant")
    console.page.keyboard.press("ArrowUp")
    last = entry.get_attribute("aria-activedescendant")
    assert last
    assert last.endswith("-logout"), "up from the first is the last"
    console.page.keyboard.press("ArrowDown")
    expect(entry).to_have_attribute("aria-activedescendant", first or "")
    expect(console.page.locator('[role=option][aria-selected="true"]')).to_have_count(1)


def test_a_ward_is_found_by_what_it_was_called_before(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident()
    console = new_console().open()
    type_into(console, "phu cuong")
    expect(console.at("palette").locator('[aria-selected="true"]')).to_contain_text("Thủ Dầu Một")
    console.page.keyboard.press("Escape")
    console.page.keyboard.press("/")
    console.page.keyboard.type("chanh nghia")
    expect(console.row(incident)).to_be_visible(timeout=WAIT_MS)
    city.end(incident)


def test_a_ward_and_a_state_are_filters_in_the_address(new_console: OpenConsole, city: City) -> None:
    console = new_console().open()
    ward = next(
        area for area in city.get("/areas?kind=ward")["features"] if area["properties"]["code"] == "25747"
    )
    type_into(console, ward["properties"]["name"])
    expect(console.at("palette").locator('[aria-selected="true"]')).to_contain_text(
        ward["properties"]["name"]
    )
    console.page.keyboard.press("Enter")
    expect(console.page).to_have_url(re.compile("ward=25747"))
    type_into(console, "tam gac")
    expect(console.at("palette").locator('[aria-selected="true"]')).to_contain_text("Tạm gác")
    console.page.keyboard.press("Enter")
    expect(console.page).to_have_url(re.compile("state=shelved"))


def test_a_page_opened_from_the_palette_stays_open(new_console: OpenConsole) -> None:
    console = new_console().open()
    type_into(console, "phim tat")
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_role("dialog", name="Phím tắt")).to_be_visible()
    expect(console.at("palette")).to_have_count(0)


def test_nothing_found_is_said_and_a_leader_is_offered_no_command_that_is_not_theirs(
    new_console: OpenConsole, city: City
) -> None:
    console = new_console("leader").open(f"?incident={city.incident}")
    expect(console.at("panel")).to_be_visible()
    type_into(console, "tiep nhan")
    expect(console.page.locator('[data-choice="op-acknowledge"]')).to_have_count(0)
    console.at("palette-input").fill("zzzz")
    expect(console.at("palette")).to_contain_text("Không tìm thấy gì")


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("lang", ["vi", "en"])
def test_axe_finds_nothing_serious_in_the_palette(new_console: OpenConsole, theme: str, lang: str) -> None:
    console = new_console(theme=theme)
    console.page.add_init_script(f"localStorage.setItem('ioc.lang', '{lang}')")
    console.open()
    type_into(console, "a")
    expect(console.at("palette").get_by_role("option").first).to_be_visible()
    assert violations(console.page) == []


def split(console: Console) -> Page:
    """Move the map to a window of its own and return that."""
    with console.context.expect_page() as opened:
        console.at("screens").click()
    page = opened.value
    page.wait_for_function("() => window.__ioc?.feed.connected", timeout=WAIT_MS)
    return page


def test_what_is_selected_on_one_screen_is_selected_on_the_other(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.incident
    console = new_console().open()
    other = split(console)
    expect(other.get_by_test_id("queue-row")).to_have_count(0)
    expect(other.get_by_role("region", name="Bản đồ")).to_be_visible()
    expect(console.page.get_by_role("region", name="Bản đồ")).to_have_count(0)
    console.show(incident)
    expect(other).to_have_url(re.compile(incident))
    other.keyboard.press("Escape")
    expect(console.at("panel")).to_have_count(0)


def test_both_screens_survive_a_reload_and_become_one_again(new_console: OpenConsole, city: City) -> None:
    console = new_console().open()
    other = split(console)
    console.page.reload()
    console.wait_live()
    other.reload()
    other.wait_for_function("() => window.__ioc?.feed.connected", timeout=WAIT_MS)
    console.show(city.incident)
    expect(other).to_have_url(re.compile(city.incident))
    with other.expect_event("close"):
        console.at("screens").click()
    expect(console.page.get_by_role("region", name="Bản đồ")).to_be_visible()
    assert "pair=" not in console.page.url


def test_both_screens_show_the_same_moment_and_say_so(new_console: OpenConsole, city: City) -> None:
    console = new_console().open(f"?incident={city.incident}")
    other = split(console)
    expect(other.get_by_test_id("mode-replay")).to_have_count(0)
    console.page.get_by_test_id("panel").press("Shift+R")
    for page in (console.page, other):
        expect(page.get_by_test_id("mode-replay")).to_have_text("XEM LẠI")
        expect(page.get_by_test_id("link-state")).to_contain_text("Trực tiếp vẫn chạy phía sau")
    other.get_by_test_id("replay-back-min").click()
    moment = other.get_by_test_id("replay-moment").get_attribute("data-at") or ""
    expect(console.at("replay-moment")).to_have_attribute("data-at", moment)

    # A window that is opened or loaded anew stands where the other one does.
    console.page.reload()
    console.wait_live()
    expect(console.at("replay-moment")).to_have_attribute("data-at", moment)
    other.get_by_test_id("replay-leave").click()
    expect(console.at("mode-replay")).to_have_count(0)
    expect(console.at("link-state")).to_have_text(re.compile("^ *Trực tiếp"))


def test_only_one_of_two_screens_sounds_and_the_other_takes_over_when_it_is_closed(
    new_console: OpenConsole,
) -> None:
    console = new_console().open()
    other = split(console)
    for page in (console.page, other):
        page.get_by_role("button", name="Bật âm báo").click()
    loud = "() => navigator.locks.query().then(({ held, pending }) => [held.length, pending.length].join())"
    until(other, f"async () => await ({loud})() === '1,1'")
    console.page.close()
    until(other, f"async () => await ({loud})() === '1,0'")
