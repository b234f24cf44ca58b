"""What alarms ask of an operator: the rate against its budget, and where it comes from."""

from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import WAIT_MS
from tests.browser.test_screen import violations


def test_the_hours_alarms_are_counted_by_source_and_lead_to_them(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.raise_incident()
    console = new_console().open()
    expect(console.row(incident)).to_be_visible(timeout=WAIT_MS)
    console.page.keyboard.press("b")
    dialog = console.at("alarm-load")
    expect(console.at("load-hour")).to_contain_text("trong một giờ qua")
    expect(console.at("load-sources").get_by_role("button").first).to_be_visible()
    assert violations(console.page) == []
    source = city.get(f"/incidents/{incident}")["source"]
    name = next(device["name"] for device in city.get("/devices")["items"] if device["id"] == source)
    chosen = console.at("load-sources").get_by_role("button").filter(has_text=name)
    if chosen.count():  # the ten busiest; a city with more has other ones first
        chosen.first.click()
        expect(dialog).to_have_count(0)
        expect(console.row(incident)).to_be_visible()
    city.end(incident)


def test_an_incident_is_shelved_by_keys_alone_and_found_among_the_shelved(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.raise_incident()
    console = new_console().open(f"?incident={incident}")
    expect(console.at("panel")).to_have_attribute("data-incident-id", incident, timeout=WAIT_MS)
    console.page.keyboard.press("Shift+S")
    expect(console.at("extra-input")).to_be_focused()
    console.at("extra-input").select_option("60")
    console.at("note-input").fill("đang sửa camera")
    console.at("cmd-confirm").press("Enter")
    expect(console.at("shelved")).to_be_visible(timeout=WAIT_MS)
    city.command(incident, "unshelve")
    city.end(incident)
