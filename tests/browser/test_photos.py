"""Pictures on the operator's screen: seen with their incident, shown to the public for a reason."""

import httpx
from playwright.sync_api import expect

from tests.browser.city import City
from tests.browser.conftest import OpenConsole
from tests.browser.public import street_photo
from tests.browser.test_screen import violations


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
