"""The console in a browser, as a test sees it: a page, its feed's frames, its complaints."""

import json
import re
import time
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

WAIT_MS = 15_000
EXPECTED_COMPLAINTS = re.compile(
    # Before the login there is no session; the browser says so, however politely we ask.
    r"status of 401 .*api/v1/session"
    # Software WebGL reports its own slowness.
    r"|GL Driver Message"
    # Without simulators no camera has a picture; the panel says so.
    r"|status of 502 .*/picture"
    # A console that was opened without a map.
    r"|ERR_FAILED .*assets/controller-|Failed to fetch dynamically imported module: .*assets/controller-"
)


def until(page: Page, question: str, arg: Any = None) -> None:
    """Wait until `question`, an asynchronous function of the page, answers with something true.

    `wait_for_function` would take the promise itself for an answer.
    """
    deadline_s = time.monotonic() + WAIT_MS / 1_000
    while not page.evaluate(question, arg):
        assert time.monotonic() < deadline_s, f"still not: {question}"
        page.wait_for_timeout(100)


class Console:
    """One console: its own context, so its own session, storage and socket."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.frames: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self._forgiven = EXPECTED_COMPLAINTS
        page.on("websocket", lambda socket: socket.on("framereceived", self._received))
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _received(self, payload: str | bytes) -> None:
        self.frames.append(json.loads(payload))

    def _said(self, message: ConsoleMessage) -> None:
        text = f"{message.text} {message.location.get('url', '')}"
        if message.type in {"error", "warning"} and not self._forgiven.search(text):
            self.complaints.append(text)

    def forgive(self, pattern: str) -> None:
        """Let complaints that match `pattern` pass from now on."""
        self._forgiven = re.compile(f"{self._forgiven.pattern}|{pattern}")

    def open(self, query: str = "") -> "Console":
        """Open the page with the session that the context has, and wait until the feed is live."""
        self.page.goto(f"{self.url}/{query}")
        return self.wait_live()

    def wait_live(self) -> "Console":
        """Wait until the feed is complete and live."""
        self.page.wait_for_function("() => window.__ioc?.feed.connected", timeout=WAIT_MS)
        return self

    def wait_map(self) -> "Console":
        """Wait until the map has drawn everything it knows."""
        ready = "() => window.__ioc?.map?.loaded() && !window.__ioc.map.isMoving()"
        self.page.wait_for_function(ready, timeout=2 * WAIT_MS)
        return self

    def at(self, test_id: str) -> Locator:
        """Return the element with this `data-testid`."""
        return self.page.get_by_test_id(test_id)

    def row(self, incident_id: str) -> Locator:
        """Return an incident's row in the queue."""
        return self.page.locator(f'[data-testid="queue-row"][data-incident-id="{incident_id}"]')

    def show(self, incident_id: str) -> None:
        """Wait for an incident's row and open its panel."""
        self.row(incident_id).get_by_role("button").click(timeout=WAIT_MS)
        expect(self.at("panel")).to_have_attribute("data-incident-id", incident_id)

    def feed(self, expression: str) -> Any:
        """Evaluate an expression on the test hook `window.__ioc.feed`."""
        return self.page.evaluate(f"() => window.__ioc.feed.{expression}")

    def rendered_ids(self, layer: str, name: str = "id") -> set[str]:
        """Return the values of a property of the features that a map layer shows now."""
        found = self.page.evaluate(
            "([layer, name]) => window.__ioc.map.queryRenderedFeatures({ layers: [layer] })"
            ".map((feature) => feature.properties[name])",
            [layer, name],
        )
        return {value for value in found if value is not None}

    def group_sizes(self) -> list[int]:
        """Return how many incidents each group on the map stands for."""
        sizes: list[int] = self.page.evaluate(
            "() => window.__ioc.map.queryRenderedFeatures({ layers: ['incident-counts'] })"
            ".map((feature) => feature.properties.point_count)"
        )
        return sizes
