"""Writes `docs/rules.md` and `docs/rule.schema.json` from the code: `python -m ioc.app.rules_page`."""

from pathlib import Path

from ioc.rules.describe import schema_text
from ioc.rules.reference import render

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
SCHEMA = PAGE.with_name("rule.schema.json")


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
    SCHEMA.write_text(schema_text(), "utf-8")
