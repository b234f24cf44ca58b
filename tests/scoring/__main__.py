"""`python -m tests.scoring`: plays the shipped scenarios and writes their scores into docs/simulators.md."""

import sys
from pathlib import Path
from typing import Final

from simulators.cli.score import HEADINGS, cells
from simulators.scenario import shipped_names
from tests.scoring import Scored, scored

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "simulators.md"
BEGIN: Final = "<!-- scores: written by python -m tests.scoring -->\n"
END: Final = "<!-- end of scores -->\n"


def table(results: list[Scored]) -> str:
    """Return the tables of scores: one line a scenario, then one a rule of each."""
    lines = [_row(("scenario", "events", *HEADINGS[1:])), _rule(len(HEADINGS) + 1)]
    for result in results:
        found = result.score
        lines.append(_row((f"`{found.scenario}`", f"{result.events:,}", *cells(found.total)[1:])))
    lines += ["\n", _row(("scenario", *HEADINGS)), _rule(len(HEADINGS) + 1)]
    for result in results:
        found = result.score
        lines += [_row((f"`{found.scenario}`", *cells(figures))) for figures in found.rules]
    return "".join(lines)


def page_with(text: str, scores: str) -> str:
    """Return the page `text` with its scores exchanged."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{scores}\n{END}{after}"


def _row(values: tuple[str, ...]) -> str:
    return f"| {' | '.join(values)} |\n"


def _rule(columns: int) -> str:
    return "| " + " | ".join(["---"] * columns) + " |\n"


if __name__ == "__main__":
    results = [scored(name) for name in shipped_names()]
    PAGE.write_text(page_with(PAGE.read_text("utf-8"), table(results)), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(PAGE.parents[1])}: {len(results)} scenarios\n")
