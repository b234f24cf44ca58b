"""The page on incidents: current, and its diagram names every transition."""

import re

import yaml

from ioc.app.pages.incidents import PAGE
from ioc.incidents.commands import TRANSITIONS, Op
from ioc.incidents.policies import ProcedurePolicy, parse_policy
from ioc.incidents.reference import render
from ioc.model.incidents import OPEN_HANDLINGS, Handling


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == render(), "run: python -m ioc.app.pages.incidents"


def test_the_example_of_a_procedure_is_one() -> None:
    example = re.search(r"```yaml\n(procedures:.*?)```", render(), re.DOTALL)
    assert example
    parsed = parse_policy("procedures", yaml.safe_load(example[1]))
    assert isinstance(parsed, ProcedurePolicy) and len(parsed.procedures[0].steps) == 3


def test_every_command_has_a_letter_of_its_own() -> None:
    assert set(TRANSITIONS) == set(Op)
    letters = [transition.letter for transition in TRANSITIONS.values()]
    assert letters == [chr(ord("A") + n) for n in range(len(Op))]


def test_the_diagram_draws_every_transition_that_moves_and_no_other() -> None:
    found = re.search(r"```mermaid\n(.*?)```", render(), re.DOTALL)
    assert found
    drawn: set[tuple[str, str, str]] = set()
    for source, target, letters in re.findall(r"^    (\w+) --> (\w+): (.+)$", found[1], re.MULTILINE):
        sources = OPEN_HANDLINGS if source == "open" else {Handling(source)}
        drawn |= {(str(each), target, letter) for each in sources for letter in letters.split(", ")}
    legal = {
        (str(source), "open" if op is Op.UNMERGE else str(transition.target), transition.letter)
        for op, transition in TRANSITIONS.items()
        if transition.target or op is Op.UNMERGE
        for source in transition.sources - transition.keeps
    }
    assert drawn == legal
