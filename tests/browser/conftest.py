"""One service and one browser for all browser tests; one context per console."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from benchmarks.service import Service
from tests.browser.chromium import launch
from tests.browser.city import City
from tests.browser.console import WAIT_MS, Console
from tests.browser.public import SOMEWHERE, Visit

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dashboards" / "console" / "dist" / "index.html"

MAP_LIBRARY = "**/assets/controller-*.js"

OpenConsole = Callable[..., Console]
OpenVisit = Callable[..., Visit]
LIMITS = {f"IOC_CITIZENS__{name}": "1000" for name in ("FREE_PER_HOUR", "MOST_PER_HOUR", "LOOKS_PER_MINUTE")}
"""All citizens of these tests come from one address."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A running Chromium. Of the package, because its loop would disturb asynchronous tests elsewhere."""
    if not DIST.exists():
        pytest.fail("the console is not built: run `make setup`")
    expect.set_options(timeout=WAIT_MS)  # an expectation ends once it holds: a slow machine needs the rest
    with sync_playwright() as playwright:
        chromium = launch(playwright.chromium)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def running_city(browser: Browser) -> Iterator[City]:
    """The demo city without simulators; asks for the browser first, so that nothing starts without one."""
    with tempfile.TemporaryDirectory(prefix="ioc-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "var", LIMITS | {"IOC_PHOTOS__PUBLIC_PER_HOUR": "1000"})
        service.start()
        try:
            yield City(service)
        finally:
            service.stop()


@pytest.fixture(scope="module")
def city(running_city: City) -> Iterator[City]:
    """The city of all files; what one of them leaves would push the rows of the next out of sight."""
    yield running_city
    running_city.end_raised()


@pytest.fixture
def new_console(browser: Browser, city: City) -> Iterator[OpenConsole]:
    """Make consoles, logged in as `user` (None: at the login), with or without the map `drawn`.

    Afterwards none may have logged an error.
    """
    made: list[Console] = []
    with ExitStack() as contexts:

        def make(
            user: str | None = "operator",
            *,
            drawn: bool = False,
            theme: str = "dark",
            width: int = 1280,
            height: int = 720,
        ) -> Console:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                reduced_motion="reduce",
                # The service's own policy stays in force on the wire; this only lets the test's tools in.
                bypass_csp=True,
            )
            contexts.callback(context.close)
            if user is not None:
                name, _, value = city.headers(user)["cookie"].partition("=")
                context.add_cookies([{"name": name, "value": value, "url": city.url}])
            context.add_init_script(f"localStorage.setItem('ioc.theme', '{theme}')")
            if not drawn:
                # Drawing maps in software is most of the work, and the queue must do without one anyway.
                context.route(MAP_LIBRARY, lambda route: route.abort())
            console = Console(context, context.new_page(), city.url)
            made.append(console)
            return console

        yield make
        assert [complaint for console in made for complaint in console.complaints] == []


@pytest.fixture
def visit(browser: Browser, city: City) -> Iterator[OpenVisit]:
    """Open citizens' browsers that stand at `geolocation`. Afterwards no page may have complained."""
    made: list[Visit] = []
    with ExitStack() as contexts:

        def make(
            *,
            theme: str | None = "light",
            width: int = 390,
            height: int = 844,
            geolocation: tuple[float, float] = SOMEWHERE,
            color_scheme: Literal["dark", "light"] = "light",
        ) -> Visit:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                reduced_motion="reduce",
                color_scheme=color_scheme,
                permissions=["geolocation"],
                geolocation={"longitude": geolocation[0], "latitude": geolocation[1], "accuracy": 12},
                bypass_csp=True,
            )
            contexts.callback(context.close)
            if theme is not None:
                context.add_init_script(f"localStorage['ioc.page-theme'] ??= '{theme}'")
            found = Visit(context, context.new_page(), city.url)
            made.append(found)
            return found

        yield make
        assert [complaint for each in made for complaint in each.complaints] == []
