"""A citizen reports with a photo, is told what is known, follows by code and says whether it is settled."""

import hashlib
import io
import json
import time
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Route, expect

from tests.browser.city import City
from tests.browser.conftest import OpenVisit
from tests.browser.public import HOSTILE, Visit

REPORTS = "**/api/v1/public/reports"
TIMEOUT_S = 30.0


def incident_of(city: City, receipt: dict[str, Any]) -> str:
    """Wait until the report is an incident, and return its id."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        for incident in city.get("/incidents?state=open&limit=200")["items"]:
            if incident["rule"] == "citizen-report" and incident["key"].endswith(receipt["id"]):
                found: str = incident["id"]
                return found
        time.sleep(0.1)
    raise AssertionError(f"no incident of {receipt} within {TIMEOUT_S:.0f} s")


def followed(visit: Visit, code: str) -> Visit:
    visit.open(f"/follow#{code}")
    expect(visit.at("followed")).to_be_visible()
    return visit


def test_a_report_with_a_photo_is_followed_by_its_code_and_voted_on(visit: OpenVisit, city: City) -> None:
    citizen = visit().open("/report")
    text = "Nắp cống vỡ trước trường tiểu học, học sinh dễ sụp chân"
    code, receipt = citizen.write(text, photo=True).send()
    incident = incident_of(city, receipt)

    (photo,) = city.get(f"/incidents/{incident}/photos")["items"]
    assert (photo["origin"], photo["released"]) == ("citizen", False)
    shown = httpx.get(f"{city.url}/api/v1/photos/{photo['ref']}", headers=city.headers("supervisor"))
    picture = Image.open(io.BytesIO(shown.content))
    assert picture.height > picture.width, "it was taken upright"
    assert not picture.getexif()
    public = f"{city.url}/api/v1/public/photos/{photo['ref']}"
    assert httpx.get(public).status_code == 404

    citizen.at("to-follow").click()
    expect(citizen.at("status")).to_have_text("Đã nhận")
    expect(citizen.at("said")).to_have_text(text)
    city.command(incident, "acknowledge")
    city.command(
        incident, "resolve", note="Đội thoát nước đã thay nắp, anh Nam phụ trách", override="diễn tập"
    )
    release = {"released": True, "reason": "ảnh không có người"}
    httpx.post(
        f"{city.url}/api/v1/photos/{photo['ref']}/release", json=release, headers=city.headers("supervisor")
    ).raise_for_status()

    citizen.page.get_by_role("button", name="Xem lại").click()
    expect(citizen.at("status")).to_have_text("Đã xử lý")
    expect(citizen.at("answer")).to_contain_text("đã được xử lý")
    assert "anh Nam" not in citizen.page.content(), "notes are for the staff"
    expect(citizen.at("history").locator("li")).to_have_count(3)
    citizen.page.wait_for_function("() => document.querySelector('.photos img')?.naturalWidth > 0")
    citizen.at("vote-send").click()
    expect(citizen.page.get_by_text("Hãy chọn một trong hai.")).to_be_visible()
    citizen.page.get_by_text("Chưa được", exact=True).click()
    citizen.at("vote-text").fill("Nắp mới kê lệch, xe qua vẫn kêu")
    citizen.at("vote-send").click()

    expect(citizen.at("voted")).to_contain_text("chưa được")
    expect(citizen.at("status")).to_have_text("Mở lại")
    assert city.get(f"/incidents/{incident}")["handling"] == "new"
    # The next code on the same page: nothing of what was said about the first is shown with it.
    second, _ = visit().open("/report").write("Bàn ghế lấn hết vỉa hè chợ", "order").send()
    citizen.at("code-input").fill(second)
    expect(citizen.at("followed")).to_have_attribute("aria-label", code)
    citizen.at("look").click()
    expect(citizen.at("followed")).to_have_attribute("aria-label", second)
    expect(citizen.at("voted")).to_have_count(0)
    # Another visit, the code as people write it.
    other = visit().open("/follow")
    other.at("code-input").fill(code.lower().replace("-", " "))
    other.at("look").click()
    expect(other.at("status")).to_have_text("Mở lại")


def test_the_same_thing_is_offered_before_sending_and_joined(visit: OpenVisit, city: City) -> None:
    first = visit().open("/report")
    _, leading = first.write(f"Đèn đường hẻm 5 tắt ba đêm nay {HOSTILE}", "light").send()
    incident_of(city, leading)

    second = visit().open("/report").write("Den duong hem 5 tat ba dem nay", "light")
    candidate = second.at("candidate").first
    expect(candidate).to_contain_text("Đèn đường hẻm 5 tắt ba đêm nay")
    # What citizens write is text, whatever they write.
    expect(candidate).to_contain_text("<b>đậm</b>")
    assert candidate.locator("img, b").count() == 0
    candidate.get_by_test_id("me-too").click()
    expect(second.at("send")).to_contain_text("Gửi và gộp")
    code, receipt = second.send()
    assert receipt["joined"] and receipt["id"] != leading["id"]
    expect(second.page.get_by_text("Đã gộp với phản ánh trước đó")).to_be_visible()

    keys = [item["key"] for item in city.get("/incidents?state=open&limit=200")["items"]]
    assert not [key for key in keys if key.endswith(receipt["id"])], "one incident, two reporters"
    followed(second, code)
    expect(second.at("said")).to_have_text("Den duong hem 5 tat ba dem nay")


def test_what_could_not_be_sent_is_kept_and_sent_once(visit: OpenVisit) -> None:
    citizen = visit().open("/report")
    citizen.write("Rác đổ trộm ven kênh từ tối qua", "waste", photo=True)
    citizen.context.set_offline(True)
    citizen.at("send").click()
    expect(citizen.at("failure")).to_contain_text("Không có mạng")
    citizen.context.set_offline(False)

    citizen.page.reload()
    expect(citizen.at("photo")).to_have_count(1)
    expect(citizen.at("text")).to_have_value("Rác đổ trộm ven kênh từ tối qua")
    expect(citizen.page.locator('input[name="service"][value="waste"]')).to_be_checked()
    citizen.page.locator("#at-consent").check()
    citizen.page.route(REPORTS, lambda route: route.fulfill(status=500, body="Internal Server Error"))
    citizen.at("send").click()
    expect(citizen.at("failure")).to_contain_text("Hệ thống đang gặp lỗi")
    citizen.page.unroute(REPORTS)

    # The service takes it, but its answer is lost; the second try must not make a second report.
    taken: list[dict[str, Any]] = []

    def lose(route: Route) -> None:
        taken.append(route.fetch().json())
        route.abort()

    citizen.page.route(REPORTS, lose)
    citizen.page.get_by_role("button", name="Thử lại").click()
    expect(citizen.at("failure")).to_contain_text("Không có mạng")
    citizen.page.unroute(REPORTS)
    citizen.page.reload()
    citizen.page.locator("#at-consent").check()
    _, receipt = citizen.send()
    assert receipt["id"] == taken[0]["id"]

    citizen.open("/report")
    expect(citizen.at("text")).to_have_value("")
    expect(citizen.at("photo")).to_have_count(0)


def test_each_missing_or_refused_value_is_marked_where_it_belongs(visit: OpenVisit) -> None:
    citizen = visit(geolocation=(105.85, 21.03)).open("/report")
    citizen.at("send").click()
    for words in ("Hãy chọn việc", "Hãy mô tả", "Hãy cho biết ở đâu", "Cần sự đồng ý"):
        expect(citizen.page.get_by_role("alert").filter(has_text=words)).to_be_visible()
    citizen.at("photo-input").set_input_files(
        {"name": "anh.jpg", "mimeType": "image/jpeg", "buffer": b"<svg onload=alert(1)>"}
    )
    citizen.at("text").fill("Ổ gà lớn ngay giữa cầu")
    # The browser cannot read it: it goes as it is, and the service says what it is not.
    citizen.choose_service("road")
    citizen.at("locate").click()
    citizen.page.locator("#at-consent").check()
    citizen.at("send").click()
    expect(citizen.page.locator("#photos-wrong")).to_contain_text("Có ảnh không gửi được")
    citizen.page.get_by_role("button", name="Bỏ ảnh 1").click()
    citizen.at("send").click()
    expect(citizen.page.locator("#place-wrong")).to_contain_text("ngoài địa bàn")
    assert citizen.page.evaluate("() => document.activeElement.id") == "at-place"


def test_an_address_that_sends_much_does_the_work_it_is_asked_for(visit: OpenVisit) -> None:
    citizen = visit().open("/report").write("Cây nghiêng sát dây điện đầu hẻm 12", "tree")
    solutions: list[str] = []

    def ask_for_work(route: Route) -> None:
        solution = json.loads(route.request.post_data or "{}").get("solution")
        if solution is None:
            challenge = {"seed": "64a3b2.0123", "bits": 12}
            route.fulfill(status=428, json={"status": 428, "challenge": challenge})
            return
        solutions.append(solution)
        route.fulfill(status=201, json={"id": "x", "code": "7K3MQ-9QX2F-C", "joined": False})

    citizen.page.route(REPORTS, ask_for_work)
    citizen.at("send").click()
    expect(citizen.at("code")).to_have_text("7K3MQ-9QX2F-C")
    (solution,) = solutions
    assert solution.startswith("64a3b2.0123:")
    assert int(hashlib.sha256(solution.encode()).hexdigest()[:3], 16) == 0


def test_a_place_is_chosen_on_a_map_that_only_then_is_loaded(visit: OpenVisit) -> None:
    citizen = visit().open("/report")
    asked: list[str] = []
    citizen.page.on("request", lambda request: asked.append(request.url))
    expect(citizen.at("service").first).to_be_attached()
    citizen.at("open-map").click()
    expect(citizen.at("place-map")).to_have_attribute("data-ready", "true", timeout=30_000)
    assert any("maplibre" in url or "place-map" in url for url in asked)
    expect(citizen.at("place-map").get_by_role("status")).to_be_visible(timeout=30_000)
    ward = citizen.at("place-map").get_by_role("status").inner_text()
    citizen.at("use-place").click()
    expect(citizen.at("place")).to_contain_text(f"Đã chọn vị trí: {ward}")
    assert citizen.at("place-map").count() == 0


def test_an_unknown_code_is_called_so_and_mine_are_remembered(visit: OpenVisit) -> None:
    citizen = visit().open("/report")
    code, _ = citizen.write("Ngập nửa bánh xe sau mưa ở ngã ba", "flood").send()
    citizen.open("/follow")
    citizen.at("code-input").fill("0000-0000-0000")
    citizen.at("look").click()
    expect(citizen.at("unknown")).to_contain_text("Không có phản ánh nào")

    citizen.open("/board").open("/follow")
    citizen.page.get_by_role("link", name=code).click()
    expect(citizen.at("followed")).to_be_visible()
    assert code not in str(citizen.page.evaluate("() => performance.getEntriesByType('navigation')[0].name"))


def test_a_report_that_is_followed_stays_while_nobody_answers(visit: OpenVisit) -> None:
    citizen = visit().open("/report")
    code, _ = citizen.write("Cây đổ chắn nửa đường trước trường học", "tree").send()
    citizen.open(f"/follow#{code}")
    expect(citizen.at("followed")).to_be_visible()
    citizen.context.set_offline(True)
    citizen.page.get_by_role("button", name="Xem lại").click()
    expect(citizen.at("failure")).to_be_visible()
    expect(citizen.at("followed")).to_be_visible()


def test_an_address_with_a_code_that_is_none_is_taken_as_it_stands(visit: OpenVisit) -> None:
    citizen = visit().open("/follow#100%")
    expect(citizen.at("code-input")).to_have_value("100%")


@pytest.mark.parametrize("path", ["/report", "/follow", "/board"])
def test_both_languages_are_whole_and_remembered(visit: OpenVisit, path: str) -> None:
    citizen = visit().open(path)
    heading = citizen.page.get_by_role("heading", level=1)
    vietnamese = heading.inner_text()
    assert citizen.page.evaluate("() => document.documentElement.lang") == "vi"

    citizen.at("lang-switch").click()
    expect(heading).not_to_have_text(vietnamese)
    assert citizen.page.evaluate("() => document.documentElement.lang") == "en"
    citizen.page.reload()
    expect(heading).not_to_have_text(vietnamese)
    assert citizen.page.evaluate("() => document.documentElement.lang") == "en"
