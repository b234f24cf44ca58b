"""Pictures on the operator's screen: chosen and sent, seen with their incident, shown to the public."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.console import Console
from tests.browser.public import street_photo
from tests.browser.test_citizens import incident_of
from tests.browser.test_reports_panel import end_reported, report
from tests.browser.test_screen import violations

WARD = "25951"
"""Its cameras are for these tests alone."""


@pytest.fixture(autouse=True)
def nothing_left(city: City) -> Iterator[None]:
    """End what a test has raised."""
    yield
    city.end_all(WARD)
    end_reported(city)


def false_alarm(city: City) -> str:
    """Raise an incident of which no required step is open; return its id."""
    incident = city.raise_incident(WARD)
    city.command(incident, "step", step="verify", answer="no")
    city.command(incident, "step", step="cause", note="bóng cây")
    return incident


def test_an_operator_sees_a_picture_and_decides_whether_the_public_does(
    new_console: OpenConsole, city: City
) -> None:
    incident = city.raise_incident()
    sent = httpx.post(f"{city.url}/api/v1/photos", content=street_photo(), headers=city.headers("ward"))
    ref = sent.raise_for_status().json()["ref"]
    city.command(incident, "resolve", note="đã xử lý", photo=ref, override="diễn tập")
    public = f"{city.url}/api/v1/public/photos/{ref}"
    console = new_console("operator").open(f"?incident={incident}")
    panel = console.at("panel")
    expect(panel).to_have_attribute("data-incident-id", incident)
    picture = console.at("photos").locator("img")
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("(image) => image.naturalWidth") > 0
    expect(console.at("photo-released")).to_have_text("Chỉ cán bộ xem được")

    console.at("photo-release").click()
    console.at("photo-reason").fill("đẹp")
    console.at("photo-confirm").click()
    expect(panel.get_by_role("alert")).to_contain_text("ít nhất 10 ký tự")
    assert violations(console.page) == []
    assert httpx.get(public).status_code == 404
    console.at("photo-reason").fill("kết quả sửa đường, không có người")
    console.at("photo-confirm").click()
    expect(console.at("photo-released")).to_have_text("Người dân đang xem được")
    assert httpx.get(public).headers["content-type"] == "image/jpeg"

    ward = new_console("ward").open(f"?incident={incident}")
    expect(ward.at("photo-released")).to_be_visible()
    assert ward.at("photo-release").count() == 0


def choose(console: Console, data: bytes, name: str = "IMG_0002.jpg") -> None:
    """Choose a file where a picture is asked for."""
    console.at("pick-photo").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": data})


def test_a_picture_is_chosen_sent_and_goes_with_the_result(new_console: OpenConsole, city: City) -> None:
    incident = false_alarm(city)
    console = new_console().open(f"?incident={incident}")
    console.at("cmd-resolve").click()
    choose(console, b"<svg onload=alert(1)>")
    expect(console.at("pick-trouble")).to_contain_text("không phải ảnh JPEG, PNG hoặc WebP")
    assert all("415" in complaint for complaint in console.complaints)
    console.complaints.clear()

    with console.page.expect_request("**/api/v1/photos") as sent:
        choose(console, street_photo())
    expect(console.at("picked")).to_be_visible()
    assert len(sent.value.post_data_buffer or b"") < len(street_photo())
    expect(console.at("pick-trouble")).to_have_count(0)
    console.at("note-input").fill("đã xem lại, không có xe")
    console.at("cmd-confirm").click()

    expect(console.at("panel-handling")).to_have_text("Đã xử lý")
    (photo,) = city.get(f"/incidents/{incident}/photos")["items"]
    assert (photo["origin"], max(photo["width"], photo["height"])) == ("staff", 2_048)
    assert city.get(f"/incidents/{incident}")["photo"] == photo["ref"]
    expect(console.at("photos").locator("img")).to_have_count(1)


def test_a_step_that_asks_for_a_picture_takes_a_file_and_sends_it_again(
    new_console: OpenConsole, city: City
) -> None:
    incident = incident_of(city, report(city, "road", "Mặt cầu bong tróc, lòi thép"))
    console = new_console().open(f"?incident={incident}")
    step = console.page.locator('[data-step="photo"]')
    step.get_by_test_id("step-do").click()
    expect(console.at("pick-photo")).to_be_focused()
    console.at("step-confirm").click()
    expect(step.get_by_role("alert")).to_have_text("Hãy chọn ảnh.")
    console.page.route("**/api/v1/photos", lambda route: route.abort())
    choose(console, street_photo())
    expect(console.at("pick-trouble")).to_contain_text("kiểm tra mạng rồi gửi lại")
    assert violations(console.page) == []
    console.page.unroute("**/api/v1/photos")
    console.at("resend-photo").click()
    expect(console.at("picked")).to_be_visible()
    console.at("step-confirm").click()

    expect(step).to_have_attribute("data-state", "done")
    (photo,) = city.get(f"/incidents/{incident}/photos")["items"]
    link = step.get_by_role("link", name="Xem ảnh")
    expect(link).to_have_attribute("href", f"/api/v1/photos/{photo['ref']}")
    assert all("ERR_FAILED" in complaint for complaint in console.complaints)
    console.complaints.clear()


def test_a_picture_that_was_forgotten_meanwhile_is_asked_for_again(
    new_console: OpenConsole, city: City
) -> None:
    incident = false_alarm(city)
    console = new_console("supervisor").open(f"?incident={incident}")
    console.at("cmd-resolve").click()
    console.page.route("**/api/v1/photos", lambda route: route.fulfill(status=201, json={"ref": "0" * 32}))
    console.page.route("**/api/v1/photos/0*", lambda route: route.fulfill(body=street_photo()))
    choose(console, street_photo())
    expect(console.at("picked")).to_be_visible()
    console.at("note-input").fill("xong")
    console.at("cmd-confirm").click()
    expect(console.at("panel")).to_contain_text("Hãy chọn lại ảnh.")
    assert len(console.complaints) == 1
    console.complaints.clear()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_where_a_picture_is_chosen(
    new_console: OpenConsole, city: City, theme: str
) -> None:
    incident = false_alarm(city)
    console = new_console(theme=theme).open(f"?incident={incident}")
    console.at("cmd-resolve").click()
    choose(console, street_photo())
    expect(console.at("picked")).to_be_visible()
    assert violations(console.page) == []
