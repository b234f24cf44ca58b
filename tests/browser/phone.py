"""A ward's phone as a test sees it: its page, what it keeps, its network."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.console import WAIT_MS, until

OPENED = """
  const answer = (request) => new Promise((done) => { request.onsuccess = () => done(request.result) })
  // To open what the page has not made yet would make it, and the page would find no stores in it.
  if (!(await indexedDB.databases()).some(({ name }) => name === base)) return null
  const db = await answer(indexedDB.open(base))
"""
COUNT = (
    "async ([base, name]) => {"
    + OPENED
    + """
  const count = await answer(db.transaction(name).objectStore(name).count())
  db.close()
  return count
}"""
)
LIST = (
    "async (base) => {"
    + OPENED
    + """
  const kept = await answer(db.transaction('kept').objectStore('kept').get('list'))
  db.close()
  return kept
}"""
)
"""What the phone remembers of its ward's list."""


class Phone:
    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, route: str = "") -> "Phone":
        self.page.goto(f"{self.url}/ward{route}")
        expect(self.at("link")).to_have_attribute("data-online", "true", timeout=WAIT_MS)
        return self

    def ready(self) -> "Phone":
        """Wait until the page would open without a network."""
        self.page.evaluate("() => navigator.serviceWorker.ready.then(() => undefined)")
        self.page.wait_for_function("() => navigator.serviceWorker.controller !== null", timeout=WAIT_MS)
        return self

    def keeps(self, incident: str) -> None:
        """Wait until the phone remembers an incident."""
        until(
            self.page,
            f"async (id) => (await ({LIST})('ioc-ward'))?.incidents.some((incident) => incident.id === id)",
            incident,
        )

    def at(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    def item(self, incident: str) -> Locator:
        return self.page.locator(f'[data-testid="ward-item"][data-incident-id="{incident}"]')

    def show(self, incident: str) -> None:
        self.item(incident).click(timeout=WAIT_MS)
        expect(self.at("ward-detail")).to_have_attribute("data-incident-id", incident)

    def log_out(self) -> None:
        self.at("menu").click()
        self.at("logout").click()

    def cut(self) -> None:
        self.page.context.set_offline(True)
        # A socket that is open stays open: the page finds out as on a real phone, by silence or by its close.
        self.page.evaluate("() => window.dispatchEvent(new Event('offline'))")
        expect(self.at("link")).to_have_attribute("data-online", "false", timeout=2 * WAIT_MS)

    def mend(self) -> None:
        self.page.context.set_offline(False)
