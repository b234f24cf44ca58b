"""What the command line prints. Texts of users and files pass through here as they are, never as markup."""

import json
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

out: Final = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
"""Results."""
notes: Final = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
"""Everything else: progress, warnings, errors."""


def print_json(value: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], as_json: bool) -> None:
    """Print rows as a table, or as a JSON list of objects."""
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    out.print(table, soft_wrap=False)


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
