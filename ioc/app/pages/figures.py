"""Writes `docs/kpis.md` from the code: `python -m ioc.app.pages.figures`."""

from ioc.app.pages import DOCS
from ioc.incidents.figure_reference import render

PAGE = DOCS / "kpis.md"


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
