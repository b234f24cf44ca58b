"""Every bound of rules is listed, and beyond it a rule is refused with the reason."""

import importlib
import pkgutil
import re

import pytest

import ioc.rules
from ioc.rules.bounds import LIVING, REFUSING, Bound
from ioc.rules.compile import MAX_RULES, load
from ioc.rules.errors import InvalidRules
from ioc.rules.schema import parse_rules
from tests.unit.rules.scenes import HEAD

NOT_OF_RULES = {
    "backtest.MAX_WARM_UP_US",
    "backtest.MIN_JUDGED_US",
    "coverage.MAX_MUTANTS",
    "explain_why.MAX_OTHER_KEYS",
    "relative.MAX_STEPS",
    "scenario.MAX_EVENTS",
    "scenario.MAX_FILE_EVENTS",
    "scenario.MAX_LENGTH_US",
}
"""Bounds of backtests, explanations and rule tests."""


def stated() -> set[str]:
    """Return every constant that looks like a bound, by the module that defines it."""
    found = set()
    for info in pkgutil.walk_packages(ioc.rules.__path__, "ioc.rules."):
        module = importlib.import_module(info.name)
        text = importlib.util.find_spec(info.name).loader.get_source(info.name)  # type: ignore[union-attr]
        names = re.findall(r"^((?:DEFAULT_)?(?:MAX|MIN)_\w+)\b.*=", text, re.MULTILINE)
        found |= {f"{info.name.removeprefix('ioc.rules.')}.{name}" for name in names if hasattr(module, name)}
    return found


def test_every_bound_that_the_code_states_is_listed() -> None:
    listed = {name for bound in (*REFUSING, *LIVING) for name in bound.constants}
    assert stated() - NOT_OF_RULES == listed


@pytest.mark.parametrize(
    "bound", [bound for bound in REFUSING if bound.beyond is not None], ids=lambda bound: bound.what
)
def test_a_rule_beyond_a_bound_is_refused_and_names_its_place_and_the_bound(bound: Bound) -> None:
    assert bound.beyond is not None
    rules, errors = parse_rules("it.yaml", HEAD + bound.beyond())
    assert rules == []
    assert len(errors) == 1, [str(error) for error in errors]
    assert errors[0].line >= 1
    number = re.findall(r"\d[\d,]*", bound.bound)[-1]
    assert number.replace(",", "") in errors[0].message.replace(",", ""), str(errors[0])


def test_more_rules_than_a_program_holds_are_refused() -> None:
    body = "title: {vi: a, en: a}\nstream: traffic\nabsence: 60s\nseverity: low\n"
    text = "---\n".join(f"rule: r{number}\n{body}" for number in range(MAX_RULES + 1))
    with pytest.raises(InvalidRules, match=f"more than {MAX_RULES} rules"):
        load({"it.yaml": text})


def test_aliases_that_would_grow_without_bound_are_refused() -> None:
    text = HEAD + "stream: traffic\nwhere: &a 'true'\nhold: *a\n"
    _, errors = parse_rules("it.yaml", text)
    assert any("aliases (*a)" in error.message and error.line == 7 for error in errors)
