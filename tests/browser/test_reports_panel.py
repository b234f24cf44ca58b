"""What citizens told, on the operator's screen: read, answered, judged, taken apart, by whom it concerns."""

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Locator, expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole, OpenVisit
from tests.browser.console import Console
from tests.browser.public import HOSTILE, SOMEWHERE, street_photo
from tests.browser.test_citizens import followed, incident_of
from tests.browser.test_screen import violations

PHONE = "0912 345 678"
ANSWER = "Đội đèn đã thay bóng, cảm ơn bà con đã báo"
REFRESH_MS = 30_000
"""A report that joins changes nothing of its incident; this often the panel asks all the same."""
_places = itertools.count()
"""Some 200 m apart, so that what one test raises is not grouped with what another did."""
REPORTS = "**/api/v1/incidents/*/reports"


@pytest.fixture(autouse=True)
def nothing_left(city: City) -> Iterator[None]:
    """End what a test has raised."""
    yield
    end_reported(city)


def end_reported(city: City) -> None:
    """End every open incident that citizens told of."""
    for incident in city.get("/incidents?limit=200")["items"]:
        if incident["rule"] == "citizen-report":
            city.end(incident["id"])


def report(city: City, service: str, text: str, **more: Any) -> dict[str, Any]:
    """Send a report as a citizen's page does, each from a place of its own; return the receipt."""
    row, column = divmod(next(_places), 5)
    body = {"service": service, "text": text, "idem": uuid.uuid4().hex} | more
    body |= {"lon": SOMEWHERE[0] + 0.002 * column, "lat": SOMEWHERE[1] + 0.002 * row}
    answer = httpx.post(f"{city.url}/api/v1/public/reports", json=body, headers={"X-IOC": "1"})
    receipt: dict[str, Any] = answer.raise_for_status().json()
    return receipt


def look(city: City, receipt: dict[str, Any]) -> dict[str, Any]:
    """Look at a report by its code."""
    path = f"{city.url}/api/v1/public/reports/{receipt['code']}"
    found: dict[str, Any] = httpx.get(path).raise_for_status().json()
    return found


def item(console: Console, receipt: dict[str, Any]) -> Locator:
    return console.page.locator(f'[data-report="{receipt["id"]}"]')


def told_twice(city: City, service: str, words: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Let two citizens tell of one thing, the first with a picture and a phone; return the incident, too."""
    photo = httpx.post(
        f"{city.url}/api/v1/public/photos", content=street_photo(), headers={"X-IOC": "1"}
    ).raise_for_status()
    first = report(city, service, words, contact=PHONE, photos=[photo.json()["ref"]], address="Hẻm 7")
    incident = incident_of(city, first)
    return incident, first, report(city, service, "Tôi cũng gặp, ba hôm rồi", joins=first["id"])


def test_all_who_told_the_same_are_answered_at_once_and_read_it_by_their_code(
    new_console: OpenConsole, visit: OpenVisit, city: City
) -> None:
    incident, first, second = told_twice(city, "tree", f"Cây đổ ngang hẻm 7 {HOSTILE}")
    console = new_console().open(f"?incident={incident}")
    expect(console.at("report")).to_have_count(2)
    shown = ("<b>đậm</b>", "Cây xanh", "Hẻm 7", "trang phản ánh", "•••", "chưa đánh giá", "chưa trả lời")
    for words in shown:
        expect(item(console, first)).to_contain_text(words)
    # What citizens write is text, whatever they write.
    assert item(console, first).get_by_test_id("report-text").locator("img, b").count() == 0
    picture = item(console, first).locator("img")
    picture.scroll_into_view_if_needed()
    console.page.wait_for_function("(image) => image.naturalWidth > 0", arg=picture.element_handle())
    expect(item(console, second)).to_contain_text("báo cùng việc")

    console.at("answer-all").click()
    expect(console.at("answer-words")).to_be_focused()
    console.page.keyboard.type("ok")
    console.at("answer-confirm").click()
    expect(console.at("reports").get_by_role("alert")).to_contain_text("ít nhất 5 ký tự")
    console.at("answer-words").fill(ANSWER)
    console.at("answer-confirm").click()

    expect(console.at("reports-told")).to_have_text("Đã trả lời 2 người.")
    for each in (first, second):
        expect(item(console, each).get_by_test_id("report-answers")).to_contain_text(ANSWER)
        assert [answer["text"] for answer in look(city, each)["answers"]] == [ANSWER]
    expect(followed(visit(), second["code"]).page.get_by_text(ANSWER)).to_be_visible()


def test_one_is_answered_by_keyboard_and_a_vote_is_seen(new_console: OpenConsole, city: City) -> None:
    incident, first, second = told_twice(city, "light", "Bóng đèn ngõ 9 nhấp nháy")
    city.command(incident, "resolve", note="đã thay bóng", override="làm trước, ghi sau")
    for each, satisfied in ((first, False), (second, True)):
        httpx.post(
            f"{city.url}/api/v1/public/reports/{each['code']}/vote",
            json={"satisfied": satisfied, "text": None},
            headers={"X-IOC": "1"},
        ).raise_for_status()
        if satisfied is False:
            city.command(incident, "resolve", note="đã thay lần nữa", override="làm trước, ghi sau")
    console = new_console("ward").open(f"?incident={incident}")
    expect(item(console, first).get_by_test_id("report-vote")).to_have_text("Chưa hài lòng")
    expect(item(console, second).get_by_test_id("report-vote")).to_have_text("Hài lòng")
    assert item(console, first).get_by_test_id("report-vote").locator("svg").count() == 1

    keyboard = console.page.keyboard
    button = item(console, second).get_by_test_id("answer")
    button.focus()
    keyboard.press("Enter")
    keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(console.at("panel")).to_be_visible()
    keyboard.press("Enter")
    keyboard.type(ANSWER)
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(console.at("reports-told")).to_have_text("Đã trả lời 1 người.")
    expect(button).to_be_focused()
    assert look(city, first)["answers"] == []
    assert len(look(city, second)["answers"]) == 1


def test_a_contact_is_shown_for_a_reason_that_is_recorded(new_console: OpenConsole, city: City) -> None:
    incident, first, second = told_twice(city, "road", "Sụt mép đường trước số 4")
    console = new_console().open(f"?incident={incident}")
    expect(item(console, second).get_by_test_id("report-contact")).to_have_text("không để lại")
    assert item(console, second).get_by_test_id("contact").count() == 0
    item(console, first).get_by_test_id("contact").click()
    console.at("contact-words").fill("gấp")
    console.at("contact-confirm").click()
    expect(console.at("reports").get_by_role("alert")).to_contain_text("ít nhất 10 ký tự")
    console.at("contact-words").fill("hỏi lại chỗ sụt đường")
    console.at("contact-confirm").click()
    expect(item(console, first)).to_contain_text(PHONE)
    item(console, first).get_by_role("button", name="Che lại").click()
    assert PHONE not in console.page.content()
    with psycopg.connect(
        host=str((city.service.data / "pg").absolute()), user="postgres", dbname="ioc"
    ) as admin:
        entries = admin.execute(
            "SELECT actor, op, doc ->> 'reason' FROM audit_entry WHERE subject = %s", (first["id"],)
        ).fetchall()
    assert entries == [("operator", "reporter_unmasked", "hỏi lại chỗ sụt đường")]


def test_what_is_not_the_same_becomes_an_incident_of_its_own(new_console: OpenConsole, city: City) -> None:
    first = report(city, "waste", "Rác chất đống trước chợ")
    incident = incident_of(city, first)
    second = report(city, "waste", "Chỗ tôi cũng có rác", joins=first["id"])
    console = new_console().open(f"?incident={incident}")
    expect(console.at("report")).to_have_count(2)
    assert item(console, first).get_by_test_id("separate").count() == 0, "it leads"
    item(console, second).get_by_test_id("separate").click()
    console.at("separate-confirm").click()

    expect(item(console, second)).to_have_count(0)
    expect(console.at("reports-told")).to_contain_text("Đã tách")
    expect(console.page.locator("#reports-title")).to_be_focused()
    assert incident_of(city, second) != incident


def test_another_report_appears_in_the_open_panel(new_console: OpenConsole, city: City) -> None:
    first = report(city, "light", "Đèn sân vận động phường hỏng")
    incident = incident_of(city, first)
    console = new_console().open(f"?incident={incident}")
    expect(console.at("report")).to_have_count(1)
    expect(console.at("answer-all")).to_have_count(0)
    second = report(city, "light", "Sân vận động không có đèn", joins=first["id"])
    expect(item(console, second)).to_be_visible(timeout=2 * REFRESH_MS)
    third = report(city, "light", "Sân vận động tối om", joins=first["id"])
    city.command(incident, "acknowledge")
    expect(item(console, third)).to_be_visible()


def test_a_leader_and_an_engineer_are_not_shown_what_citizens_told(
    new_console: OpenConsole, city: City
) -> None:
    incident = incident_of(city, report(city, "road", "Nắp hố ga kênh trên vỉa hè"))
    for user in ("leader", "engineer"):
        console = new_console(user)
        asked: list[str] = []
        console.page.on("request", lambda request, asked=asked: asked.append(request.url))
        console.open(f"?incident={incident}")
        expect(console.page.locator("#history-title")).to_be_visible()
        expect(console.at("panel")).to_have_attribute("data-incident-id", incident)
        assert console.at("reports").count() == 0
        assert [url for url in asked if url.endswith("/reports")] == []


def test_what_fails_says_what_to_do_next(new_console: OpenConsole, city: City) -> None:
    incident = incident_of(city, report(city, "light", "Hộp điện chân cột hở nắp"))
    console = new_console()
    console.page.route(REPORTS, lambda route: route.abort())
    console.open(f"?incident={incident}")
    expect(console.at("reports")).to_contain_text("Không tải được phản ánh")
    retry = console.at("reports").get_by_role("button", name="Thử lại")
    with console.page.expect_request(REPORTS, timeout=REFRESH_MS / 2):
        retry.click()
    console.page.unroute(REPORTS)
    # The panel asks again by itself too, so the button may be gone before it is pressed a second time.
    retry.or_(console.at("report")).first.click()
    expect(console.at("report")).to_have_count(1)
    console.page.route("**/answer", lambda route: (route.fetch(), route.abort()))
    console.at("answer").click()
    console.at("answer-words").fill(ANSWER)
    console.at("answer-confirm").click()
    # It did arrive: the answer is there to be seen before it is sent twice.
    expect(console.at("reports").get_by_role("alert")).to_contain_text("Không rõ đã gửi được chưa")
    expect(console.at("report-answers")).to_contain_text(ANSWER)
    assert all("ERR_FAILED" in complaint for complaint in console.complaints)
    console.complaints.clear()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_in_the_reports(new_console: OpenConsole, city: City, theme: str) -> None:
    incident, first, second = told_twice(
        city, {"dark": "waste", "light": "tree"}[theme], "Sau mưa không đi được"
    )
    city.post(f"/reports/{first['id']}/answer", "operator", text=ANSWER, everybody=True)
    console = new_console(theme=theme).open(f"?incident={incident}")
    expect(console.at("report")).to_have_count(2)
    console.at("answer-all").click()
    item(console, first).get_by_test_id("contact").click()
    item(console, second).get_by_test_id("separate").click()
    console.at("contact-confirm").click()
    expect(console.at("reports").get_by_role("alert")).to_be_visible()
    assert violations(console.page) == []
    console.page.evaluate("() => document.activeElement.blur()")
    console.page.keyboard.press("l")
    expect(console.page.locator("#reports-title")).to_contain_text("Reports by citizens")
