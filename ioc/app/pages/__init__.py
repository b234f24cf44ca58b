"""Documents generated from the code: `python -m ioc.app.pages.NAME`."""

from typing import Final

from ioc.app.settings import CHECKOUT

DOCS: Final = CHECKOUT / "docs"
