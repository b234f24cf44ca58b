"""Writes `docs/incidents.md` from the code: `python -m ioc.app.pages.incidents`."""

from ioc.app.pages import DOCS
from ioc.incidents.reference import render

PAGE = DOCS / "incidents.md"


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
