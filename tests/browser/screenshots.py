r"""Pictures of the console for the documents, taken from a running demo.

python -m tests.browser.screenshots --url http://127.0.0.1:8080 --login-file var/demo/logins.json \
    --out docs/images
"""

import argparse
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.chromium import ARGUMENTS, find_chromium
from tests.browser.console import Console
from tests.browser.public import SOMEWHERE, Visit

WIDTH, HEIGHT = 1600, 900
MAX_BYTES = 400_000
"""Pictures live in the repository: each is kept below this."""
COLOURS = 256
REFINEMENTS = 8
USER = "operator"
SETTLE_MS = 2_500
"""Time for the last tiles, the camera's picture and the ages to be what a person would see."""


@contextmanager
def opened(browser: Browser, url: str, theme: str) -> Iterator[Page]:
    """Open the console's login in a fresh context."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce", bypass_csp=True
    )
    context.add_init_script(f"localStorage.setItem('ioc.theme', '{theme}')")
    page = context.new_page()
    page.goto(url)
    page.get_by_test_id("login-user").wait_for()
    yield page
    context.close()


def log_in(page: Page, url: str, password: str) -> Console:
    """Log in and wait until feed and map are complete."""
    page.get_by_test_id("login-user").fill(USER)
    page.get_by_test_id("login-pass").fill(password)
    page.get_by_test_id("login-submit").click()
    console = Console(page.context, page, url).wait_live().wait_map()
    page.wait_for_timeout(SETTLE_MS)
    return console


def save(page: Page, path: Path) -> None:
    """Write what the page shows."""
    save_picture(page.screenshot(), path)


def save_picture(picture: bytes, path: Path) -> None:
    """Write a picture, in a palette when it would be too large otherwise.

    Raises:
        ValueError: it is too large even so.
    """
    if len(picture) > MAX_BYTES:
        packed = io.BytesIO()
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        # The rounds of k-means give the large plain areas back their exact colours.
        palette = image.quantize(
            COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=REFINEMENTS, dither=Image.Dither.NONE
        )
        palette.save(packed, "PNG", optimize=True)
        picture = packed.getvalue()
    if len(picture) > MAX_BYTES:
        raise ValueError(f"{path.name} has {len(picture)} bytes, more than {MAX_BYTES}")
    path.write_bytes(picture)
    print(f"{path}: {len(picture) // 1024} KiB")


def take_all(browser: Browser, url: str, password: str, out: Path) -> None:
    """Take every picture."""
    with opened(browser, url, "dark") as page:
        save(page, out / "login.png")
        log_in(page, url, password)
        save(page, out / "console-dark.png")
    with opened(browser, url, "light") as page:
        console = log_in(page, url, password)
        save(page, out / "console-light.png")
        console.at("queue-row").first.get_by_role("button").click()
        console.at("panel").locator("img").wait_for()
        page.get_by_role("button", name="Tới vị trí trên bản đồ").click()
        page.mouse.move(WIDTH / 2, 20)
        page.wait_for_function("() => window.__ioc.map.getZoom() >= 14")
        console.wait_map()
        page.wait_for_timeout(SETTLE_MS)
        save(page, out / "console-panel.png")


@contextmanager
def phone(browser: Browser, url: str, path: str) -> Iterator[Page]:
    """Open a page for everybody on a phone that stands in the city."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        reduced_motion="reduce",
        permissions=["geolocation"],
        geolocation={"longitude": SOMEWHERE[0], "latitude": SOMEWHERE[1], "accuracy": 12},
    )
    page = context.new_page()
    page.goto(f"{url}{path}")
    yield page
    context.close()


def take_public(browser: Browser, url: str, out: Path) -> None:
    """Take the pictures of the pages for everybody; a report is sent for it, and the same begun once more."""
    seen: list[Image.Image] = []

    def look(page: Page) -> None:
        page.wait_for_timeout(SETTLE_MS)
        seen.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))

    words = "Ổ gà sâu giữa đường, xe máy dễ ngã"
    with phone(browser, url, "/report") as page:
        page.get_by_test_id("service").first.wait_for(state="attached")
        look(page)
        visit = Visit(page.context, page, url).write(words, photo=True)
        page.get_by_test_id("open-map").click()
        page.get_by_test_id("place-map").scroll_into_view_if_needed()
        look(page)
        visit.send()
        page.get_by_test_id("to-follow").click()
        page.get_by_test_id("followed").wait_for()
        look(page)
    with phone(browser, url, "/report") as page:
        Visit(page.context, page, url).write("Ổ gà giữa đường")
        page.get_by_test_id("me-too").first.click()
        page.get_by_test_id("same").scroll_into_view_if_needed()
        look(page)
    save_picture(_side_by_side(seen), out / "citizen-pages.png")
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark")
    page = context.new_page()
    page.goto(f"{url}/board?kiosk")
    page.get_by_test_id("tiles").wait_for()
    page.wait_for_timeout(SETTLE_MS)
    save(page, out / "board.png")
    context.close()


def _side_by_side(pictures: list[Image.Image]) -> bytes:
    gap = 24
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) + 1)
    sheet = Image.new("RGB", (width, pictures[0].height + 2 * gap), "#c6ced2")
    at = gap
    for picture in pictures:
        sheet.paste(picture, (at, gap))
        at += picture.width + gap
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="address of a running demo")
    parser.add_argument("--login-file", required=True, type=Path, help="the demo's logins.json")
    parser.add_argument("--out", required=True, type=Path, help="folder of the pictures")
    arguments = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        parser.error("no Chromium is installed")
    password = json.loads(arguments.login_file.read_text())[USER]
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        take_all(browser, arguments.url.rstrip("/"), password, arguments.out)
        take_public(browser, arguments.url.rstrip("/"), arguments.out)
        browser.close()


if __name__ == "__main__":
    main()
