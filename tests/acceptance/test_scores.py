"""The scores of the shipped scenarios under the shipped rules are good, and as documented."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from simulators.scenario import shipped_names
from tests.scoring import Scored, scored
from tests.scoring.__main__ import PAGE, page_with, table

FALSE_ALARMS = {"calm-weekday"}
"""The only scenario whose cameras are sure of what is not there."""


@pytest.fixture(scope="module")
def results() -> dict[str, Scored]:
    names = shipped_names()
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        return dict(zip(names, pool.map(scored, names), strict=True))


@pytest.mark.timeout(600)
def test_at_least_95_percent_of_each_scenarios_incidents_are_detected_and_once(
    results: dict[str, Scored],
) -> None:
    for name, result in results.items():
        assert result.score.detection >= 0.95, (name, result.score.missed)
        assert result.score.total.repeated == 0, name
    assert sum(result.score.total.expected for result in results.values()) > 100


def test_what_is_not_there_raises_nothing_but_where_a_camera_is_sure_of_it(
    results: dict[str, Scored],
) -> None:
    assert {name for name, result in results.items() if result.score.false} == FALSE_ALARMS
    assert all(result.refused == 0 for result in results.values()), "no fault makes ingest refuse an event"


def test_the_documented_scores_are_what_the_scenarios_give(results: dict[str, Scored]) -> None:
    text = PAGE.read_text("utf-8")
    assert text == page_with(text, table(list(results.values()))), "run: python -m tests.scoring"
