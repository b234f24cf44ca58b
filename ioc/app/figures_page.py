"""Writes `docs/kpis.md` from the code: `python -m ioc.app.figures_page`."""

from pathlib import Path

from ioc.incidents.figure_reference import render

PAGE = Path(__file__).parents[2] / "docs" / "kpis.md"


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
