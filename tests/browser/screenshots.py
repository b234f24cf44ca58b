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
from tests.browser.console import WAIT_MS, Console
from tests.browser.public import SOMEWHERE, Visit

WIDTH, HEIGHT = 1600, 900
MAX_BYTES = 300_000
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


def enter(page: Page, user: str, password: str) -> None:
    """Log in."""
    page.get_by_test_id("login-user").fill(user)
    page.get_by_test_id("login-pass").fill(password)
    page.get_by_test_id("login-submit").click()


def log_in(page: Page, url: str, password: str) -> Console:
    """Log in as the operator and wait until feed and map are complete."""
    enter(page, USER, password)
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


def take_replay(browser: Browser, url: str, password: str, out: Path) -> None:
    """Take the map of a few minutes ago."""
    with opened(browser, url, "dark") as page:
        console = log_in(page, url, password)
        page.keyboard.press("Shift+R")
        console.at("replay-range").select_option("15")
        page.wait_for_function("() => document.querySelector('[data-testid=queue-row]')", timeout=WAIT_MS)
        console.wait_map()
        page.wait_for_timeout(SETTLE_MS)
        save(page, out / "playback.png")


def take_workbench(browser: Browser, url: str, password: str, out: Path) -> None:
    """Take a rule of the workbench after its tests have run."""
    with opened(browser, f"{url}/rules", "light") as page:
        enter(page, "engineer", password)
        page.locator('[data-testid="bench-rule"]').first.wait_for()
        page.goto(f"{url}/rules?rule=congestion")
        page.get_by_test_id("play").click()
        page.get_by_test_id("case").first.wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(SETTLE_MS)
        save(page, out / "workbench.png")


def take_devices(browser: Browser, url: str, password: str, out: Path) -> None:
    """Take the list of devices with one of them open."""
    with opened(browser, f"{url}/devices", "dark") as page:
        enter(page, "engineer", password)
        page.get_by_test_id("device-row").nth(2).click()
        page.get_by_test_id("facts").wait_for()
        page.wait_for_timeout(SETTLE_MS)
        save(page, out / "devices.png")


def take_ward(browser: Browser, url: str, password: str, out: Path) -> None:
    """Take the phone of a ward: the list, and one incident."""
    seen: list[Image.Image] = []
    with phone(browser, url, "/ward") as page:
        enter(page, "ward", password)
        page.get_by_test_id("ward-item").first.wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(SETTLE_MS)
        seen.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        page.get_by_test_id("ward-item").first.click()
        page.get_by_test_id("back").wait_for()
        page.wait_for_timeout(SETTLE_MS)
        seen.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    save_picture(_side_by_side(seen), out / "ward.png")


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
    passwords = json.loads(arguments.login_file.read_text())
    url = arguments.url.rstrip("/")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        take_all(browser, url, passwords[USER], arguments.out)
        take_replay(browser, url, passwords[USER], arguments.out)
        take_workbench(browser, url, passwords["engineer"], arguments.out)
        take_devices(browser, url, passwords["engineer"], arguments.out)
        take_ward(browser, url, passwords["ward"], arguments.out)
        take_public(browser, url, arguments.out)
        browser.close()


if __name__ == "__main__":
    main()
