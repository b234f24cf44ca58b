"""The rule reference: current, complete, and drawn by the engine."""

import re

import pytest

from ioc.app.pages.rules import PAGE
from ioc.rules.describe import FUNCTIONS, KEYS, TESTS
from ioc.rules.reference import render
from ioc.rules.timelines import EXAMPLES, Example, draw


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == render(), "run: python -m ioc.app.pages.rules"


def test_every_key_and_function_stands_in_the_page() -> None:
    page = render()
    for name in (*KEYS, *FUNCTIONS):
        assert re.search(rf"^\| `{name}`", page, re.MULTILINE), name
    for name in TESTS:
        assert re.search(rf"^- .*\b{name}\(", page, re.MULTILINE), name


def test_every_window_and_every_key_about_time_is_drawn() -> None:
    drawn = {name for example in EXAMPLES for name in example.shows}
    timed = {name for name, doc in KEYS.items() if doc.timed}
    assert drawn >= timed | set(FUNCTIONS), "add an example to ioc/rules/timelines.py"


def test_a_key_that_takes_a_duration_is_about_time() -> None:
    durations = {name for name, doc in KEYS.items() if "ms|s|m|h" in str(doc.schema.get("pattern"))}
    assert durations <= {name for name, doc in KEYS.items() if doc.timed}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_pictures_fit_a_page_and_show_something(example: Example) -> None:
    picture = draw(example)
    assert max(map(len, picture.splitlines())) <= 100
    assert "incident" in picture or "nothing is raised" in picture


def test_a_picture_puts_every_sign_at_its_time() -> None:
    rule = "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 15\nfor: 5s\nclear_when: speed_kmh > 25\n"
    events = "{series: traffic.flow, source: d, every: 5s, data: {speed_kmh: 20 12x2 30}}"
    assert draw(Example(("for",), "t", rule, events, 20)).splitlines() == [
        "          0s        10s       20s",
        "          |·········|·········|",
        "events    o    x    x    c",
        "incident       :::::R====C",
        "",
        "→ 10s raised d medium opened 5s count 1",
        "→ 15s cleared d count 2 (clear_when)",
    ]
