"""Groups, hand-over, shelving and the forecast on the screen."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole


def test_incidents_are_merged_seen_as_one_and_taken_apart_again(new_console: OpenConsole, city: City) -> None:
    # Where no other test raises any: many alarms of one ward are taken for one storm.
    head, member = city.raise_incident("25768"), city.raise_incident("25768")
    console = new_console().open()
    console.show(member)

    console.at("more-commands").get_by_text("Thao tác khác").click()
    console.at("cmd-merge").click()
    console.at("extra-input").select_option(head)
    console.at("cmd-confirm").click()

    expect(console.at("panel-handling")).to_have_text("Đã gộp")
    expect(console.row(member)).to_have_count(0)
    expect(console.row(head)).to_contain_text("+1")
    console.at("head-link").click()
    expect(console.at("panel")).to_have_attribute("data-incident-id", head)
    expect(console.at("group")).to_contain_text("1 cảnh báo cùng sự việc")

    console.at("split").click()
    expect(console.at("group")).to_have_count(0)
    expect(console.row(member)).to_be_visible()
    assert city.get(f"/incidents/{member}")["merged_into"] is None


def test_a_hand_over_is_asked_for_with_its_reason_and_accepted_there(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.raise_incident("25750")
    console = new_console().open()
    console.show(incident)
    console.at("more-commands").get_by_text("Thao tác khác").click()
    console.at("cmd-reroute").click()
    console.at("extra-input").select_option("25747")

    console.at("cmd-confirm").click()
    expect(console.at("panel").get_by_role("alert")).to_have_text("Hãy nhập nội dung.")
    console.at("note-input").fill("hiện trường thuộc phường bên")
    console.at("cmd-confirm").click()

    expect(console.at("handed")).to_contain_text("chờ phường, xã này nhận hoặc trả lại")
    receiving = new_console("ward").open()
    receiving.show(incident)
    receiving.at("cmd-accept").click()
    for each in (console, receiving):
        expect(each.at("panel-handling")).to_have_text("Đã tiếp nhận")
        expect(each.at("handed")).to_have_count(0)
    now = city.get(f"/incidents/{incident}")
    assert (now["ward"], now["team"]) == ("25747", "Đội CSGT Phường Thủ Dầu Một")


def test_what_is_shelved_leaves_the_queue_and_is_found_apart(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident()
    console = new_console().open()
    console.show(incident)
    until = datetime.now(UTC) + timedelta(hours=2)

    city.command(incident, "shelve", note="chờ triều rút", until=until.isoformat())

    expect(console.at("shelved")).to_be_visible()
    state = console.page.get_by_label("Trạng thái")
    state.select_option("shelved")
    expect(console.row(incident)).to_contain_text("gác tới")
    state.select_option("open")
    expect(console.row(incident)).to_have_count(0)


def test_a_paused_clock_says_since_when_and_why(new_console: OpenConsole, city: City) -> None:
    incident = city.raise_incident()
    city.command(incident, "pause", note="chờ điện lực cắt điện", reason="waiting_for_agency")
    console = new_console().open()
    console.show(incident)
    expect(console.at("paused")).to_contain_text("chờ đơn vị khác")
    console.at("cmd-resume").click()
    expect(console.at("paused")).to_have_count(0)


def test_the_forecast_names_wards_and_leads_to_their_incidents(new_console: OpenConsole, city: City) -> None:
    city.raise_incident()
    console = new_console().open()
    console.at("open-forecast").click()
    row = console.at("forecast").get_by_role("row", name="Phường Thủ Dầu Một")
    expect(row.get_by_test_id("will-breach")).not_to_have_text("0")
    row.get_by_role("button").click()
    expect(console.at("forecast")).to_have_count(0)
    assert "ward=25747" in console.page.url
