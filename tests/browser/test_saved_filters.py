"""Filters a person has given a name to: made, found, renamed and deleted without a mouse; nobody else's."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenConsole
from tests.browser.console import Console
from tests.browser.test_screen import violations

WARD = "25747"


def save(console: Console, name: str) -> None:
    console.page.keyboard.press("f")
    console.page.keyboard.type(name)
    console.page.keyboard.press("Enter")
    expect(console.at("saved-apply").filter(has_text=name)).to_be_visible()


def test_a_filter_is_saved_and_applied_again_by_keys_alone_after_a_reload(new_console: OpenConsole) -> None:
    console = new_console().open(f"?ward={WARD}&sev=critical")
    save(console, "Khẩn cấp Thủ Dầu Một")
    console.page.keyboard.press("Escape")
    expect(console.at("saved-open")).to_have_text("Khẩn cấp Thủ Dầu Một")

    console.open()
    expect(console.at("saved-open")).to_have_text("Bộ lọc đã lưu")
    console.page.keyboard.press("f")
    expect(console.at("saved-apply")).to_be_focused()
    console.page.keyboard.press("Enter")

    expect(console.page).to_have_url(re.compile(f"sev=critical.*ward={WARD}"))
    expect(console.at("saved-filters")).to_have_count(0)


def test_the_palette_finds_a_saved_filter_without_diacritics(new_console: OpenConsole) -> None:
    console = new_console().open("?state=shelved")
    save(console, "Đã gác đêm")
    console.open()
    console.page.keyboard.press("Control+k")
    console.at("palette-input").fill("da gac dem")
    console.page.keyboard.press("Enter")
    expect(console.page).to_have_url(re.compile("state=shelved"))


def test_a_name_is_changed_and_a_filter_deleted_and_the_other_window_follows(
    new_console: OpenConsole,
) -> None:
    console = new_console().open(f"?ward={WARD}")
    other = console.context.new_page()
    other.goto(console.page.url)
    save(console, "Ca đêm")
    expect(other.get_by_test_id("saved-open")).to_have_text("Ca đêm")

    console.at("saved-rename").click()
    console.at("saved-rename-to").fill("Ca khác")
    console.page.keyboard.press("Escape")
    expect(console.at("saved-apply")).to_be_focused()
    expect(console.at("saved-apply")).to_have_text("Ca đêm")

    console.at("saved-rename").click()
    console.at("saved-rename-to").fill("Ca ngày")
    console.page.keyboard.press("Enter")
    expect(console.at("saved-apply")).to_be_focused()
    expect(other.get_by_test_id("saved-open")).to_have_text("Ca ngày")

    console.at("saved-delete").click()
    expect(console.at("saved-filter")).to_have_count(0)
    expect(other.get_by_test_id("saved-open")).to_have_text("Bộ lọc đã lưu")


def test_a_taken_name_is_refused_in_words_and_another_person_has_filters_of_their_own(
    new_console: OpenConsole,
) -> None:
    console = new_console().open(f"?ward={WARD}")
    save(console, "Ca đêm")
    console.page.keyboard.press("Escape")
    console.page.goto(f"{console.url}/?sev=high")
    console.wait_live()
    console.page.keyboard.press("f")
    console.at("saved-name").fill("ca dem")
    console.page.keyboard.press("Enter")
    expect(console.at("saved-error")).to_have_text("Đã có bộ lọc mang tên này.")
    kept = console.page.evaluate(
        "() => Object.keys(localStorage).filter((key) => key.startsWith('ioc.filters.'))"
    )
    assert kept == ["ioc.filters.operator"]


@pytest.mark.parametrize(("theme", "lang"), [("dark", "vi"), ("light", "en")])
def test_axe_finds_nothing_serious_in_saved_filters(new_console: OpenConsole, theme: str, lang: str) -> None:
    console = new_console(theme=theme)
    console.page.add_init_script(f"localStorage.setItem('ioc.lang', '{lang}')")
    console.open(f"?ward={WARD}")
    console.page.keyboard.press("f")
    expect(console.at("saved-filters")).to_be_visible()
    assert violations(console.page) == []
    console.page.keyboard.type("Ca 1")
    console.page.keyboard.press("Enter")
    expect(console.at("saved-filter")).to_have_count(1)
    assert violations(console.page) == []
