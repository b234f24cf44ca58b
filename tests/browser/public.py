"""A citizen's browser: a page of `/report`, `/follow` or `/board`, its complaints, and a photo to send."""

import io
import re
from typing import Any

from PIL import Image, ImageDraw
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

SOMEWHERE = (106.6515, 10.9805)
"""In the ward 25747 of the demo city."""
HOSTILE = '<img src=x onerror="document.title=1"><b>đậm</b>'
EXPECTED_COMPLAINTS = re.compile(
    # A browser tells of each answer that is an error, or never came, however well the page copes.
    r"Failed to load resource"
    # Software WebGL reports its own slowness.
    r"|GL Driver Message"
)


class Visit:
    """One citizen: a context of its own, with a place to be at."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not EXPECTED_COMPLAINTS.search(message.text):
            self.complaints.append(message.text)

    def open(self, path: str) -> "Visit":
        """Open a page."""
        self.page.goto(f"{self.url}{path}")
        return self

    def at(self, test_id: str) -> Locator:
        """Return the element with this `data-testid`."""
        return self.page.get_by_test_id(test_id)

    def choose_service(self, code: str) -> None:
        """Choose what the report is about."""
        self.page.locator(f'label:has(input[name="service"][value="{code}"])').click()

    def write(self, text: str, service: str = "road", *, photo: bool = False) -> "Visit":
        """Fill in everything a report needs."""
        self.choose_service(service)
        self.at("text").fill(text)
        if photo:
            self.at("photo-input").set_input_files(
                {"name": "IMG_0001.jpg", "mimeType": "image/jpeg", "buffer": street_photo()}
            )
            expect(self.at("photo")).to_have_count(1)
        self.at("locate").click()
        expect(self.at("place")).to_contain_text("Đã có vị trí")
        self.page.locator("#at-consent").check()
        return self

    def send(self) -> tuple[str, dict[str, Any]]:
        """Send the report; return the code shown and the service's answer."""
        with self.page.expect_response(lambda answer: answer.url.endswith("/public/reports")) as told:
            self.at("send").click()
        expect(self.at("code")).to_be_visible()
        return self.at("code").inner_text(), told.value.json()


def street_photo() -> bytes:
    """Return a photo as a phone takes it: large, lying on its side, with its place inside."""
    picture = Image.new("RGB", (3_000, 2_000), "#8899aa")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 1_300, 3_000, 2_000), fill="#555555")
    draw.ellipse((1_100, 1_400, 1_900, 1_700), fill="#111111")
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825).update({1: "N", 2: (10.0, 58.0, 50.0), 3: "E", 4: (106.0, 39.0, 5.0)})
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()
