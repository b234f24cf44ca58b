"""Writes `docs/rules.md` and `docs/rule.schema.json` from the code: `python -m ioc.app.pages.rules`."""

from ioc.app.pages import DOCS
from ioc.rules.describe import schema_text
from ioc.rules.reference import render

PAGE = DOCS / "rules.md"
SCHEMA = PAGE.with_name("rule.schema.json")


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
    SCHEMA.write_text(schema_text(), "utf-8")
