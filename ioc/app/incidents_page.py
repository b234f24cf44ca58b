"""Writes `docs/incidents.md` from the code: `python -m ioc.app.incidents_page`."""

from pathlib import Path

from ioc.incidents.reference import render

PAGE = Path(__file__).parents[2] / "docs" / "incidents.md"


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
