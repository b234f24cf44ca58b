"""The pages of the staff beside the console, under the service's own policy of content."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from playwright.sync_api import Browser, Locator, Page

from tests.browser.city import City


class StaffPage:
    """A page as one person has it."""

    def __init__(self, page: Page, city: City, user: str) -> None:
        self.page = page
        self.city = city
        self.user = user
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))

    def at(self, test_id: str) -> Locator:
        """Return the element with this `data-testid`."""
        return self.page.get_by_test_id(test_id)

    def forget(self, what: str) -> None:
        """Leave out what the browser itself says of a refusal that a test has caused."""
        self.complaints[:] = [each for each in self.complaints if what not in each]


P = TypeVar("P", bound=StaffPage)


@contextmanager
def pages(
    browser: Browser,
    city: City,
    kind: type[P],
    default: str = "engineer",
    width: int = 1600,
    height: int = 900,
) -> Iterator[Callable[..., P]]:
    """Let a test make pages of `kind`, each in a browser of its own, where `default` is logged in.

    The test tools' way around the policy of content is open to those with `tools` only. Afterwards none of
    them may have complained.
    """
    made: list[P] = []
    with ExitStack() as contexts:

        def make(user: str = default, *, theme: str = "dark", lang: str = "vi", tools: bool = False) -> P:
            context = browser.new_context(
                viewport={"width": width, "height": height}, reduced_motion="reduce", bypass_csp=tools
            )
            contexts.callback(context.close)
            name, _, value = city.headers(user)["cookie"].partition("=")
            context.add_cookies([{"name": name, "value": value, "url": city.url}])
            context.add_init_script(
                f"localStorage.setItem('ioc.theme', '{theme}'); localStorage.setItem('ioc.lang', '{lang}')"
            )
            found = kind(context.new_page(), city, user)
            made.append(found)
            return found

        yield make
    assert [complaint for each in made for complaint in each.complaints] == []
