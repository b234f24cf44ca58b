"""A scripted scenario goes in, exactly its ground truth comes out.

Truth counts episodes: what grouping makes part of another incident is an incident of its own here, with the
times of its own.
"""

from pathlib import Path

import pytest

from ioc.model.incidents import Condition, Incident
from ioc.model.times import SECOND_US, parse_us
from ioc.store.embedded import Dsns
from simulators.fleet import load_fleet
from simulators.scenario import Script, named_scenario
from simulators.truth import Expected, truth
from simulators.world import World
from tests.acceptance.virtual_city import ROOT, virtual_city

START_US = parse_us("2026-11-23T07:00:00+07:00")


def matches(expected: Expected, incident: Incident) -> bool:
    raised_s = (incident.detected_us - START_US) / SECOND_US
    return (
        incident.rule == expected.rule
        and incident.ward == expected.ward
        and (expected.source is None or incident.source == expected.source)
        and abs(raised_s - expected.from_s) <= expected.tolerance_s
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "duration_s"), [("demo", 600), ("morning-rush", 1500)])
async def test_a_scenario_raises_exactly_the_incidents_of_its_ground_truth(
    database: Dsns, name: str, duration_s: int
) -> None:
    demo = Path(ROOT / "demo")
    fleet = load_fleet(demo / "devices.geojson", demo / "areas.geojson")
    script = Script(named_scenario(name), fleet, START_US)
    world = World(fleet, [script], seed=1, start_us=START_US)
    wards = {unit.id: unit.ward for unit in fleet.units.values()}
    expected = truth(script, wards, START_US, duration_s)
    assert len(expected) >= 5, "a scenario that expects nothing proves nothing"

    refused = 0
    async with virtual_city(database, START_US) as city:
        for second in range(duration_s):
            now_us = START_US + second * SECOND_US
            refused += await city.pass_second(world.events_between(now_us, now_us + SECOND_US))
        await city.settle()
        incidents = await city.incidents()

    assert refused == 0
    unexplained = [i for i in incidents if not any(matches(e, i) for e in expected)]
    missing = [e for e in expected if sum(matches(e, i) for i in incidents) != 1]
    late = [i for i in unexplained if (i.detected_us - START_US) / SECOND_US > duration_s - 60]
    assert not missing
    heads = {i.id: i for i in incidents if i.members}
    assert {i.merged_into for i in incidents if i.merged_into} == heads.keys()
    assert all(i.ward == heads[i.merged_into].ward for i in incidents if i.merged_into)
    assert [i for i in unexplained if i not in late] == []
    for item in expected:
        if item.until_s + item.clear_tolerance_s < duration_s:
            (incident,) = [i for i in incidents if matches(item, i)]
            assert incident.condition is Condition.CLEARED, incident.id
            assert incident.cleared_us is not None
            cleared_s = (incident.cleared_us - START_US) / SECOND_US
            assert abs(cleared_s - item.until_s) <= item.clear_tolerance_s
