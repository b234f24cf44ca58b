"""The simulation proves itself: seeds replay, good code passes them, and every planted fault is found."""

from collections.abc import AsyncIterator, Iterator

import pytest

from ioc.store.embedded import Dsns
from tests.conftest import Server
from tests.simulation.city import Cities, open_cities
from tests.simulation.faults import Fault
from tests.simulation.planted import BUGS
from tests.simulation.simulation import play

SEEDS = 15
"""Of every run of the tests; a nightly run plays thousands."""
MOST_SEEDS = 60
"""Within so many every planted fault must be found."""


@pytest.fixture(scope="module")
def databases(postgres: Server, migrated_template: str) -> Iterator[tuple[Dsns, Dsns]]:
    names = ("ioc_simulated", "ioc_replayed")
    simulated, replayed = (postgres.create(name, template=migrated_template) for name in names)
    yield simulated, replayed
    for name in names:
        postgres.drop(name)


@pytest.fixture
async def cities(databases: tuple[Dsns, Dsns]) -> AsyncIterator[Cities]:
    async with open_cities(*databases) as opened:
        yield opened


async def test_nothing_is_lost_doubled_or_decided_otherwise_whatever_fails(cities: Cities) -> None:
    faults: set[str] = set()
    for seed in range(SEEDS):
        result, _ = await play(cities, seed)
        assert not result.broken, f"{result.broken}; play it again: {result.again}"
        faults |= result.faults.keys()
    assert faults == {str(fault) for fault in Fault}, "every fault has happened"


async def test_a_seed_played_twice_gives_the_same_trace(cities: Cities) -> None:
    first, trace = await play(cities, seed=7)
    await play(cities, seed=8)
    again, _ = await play(cities, seed=7)
    assert (again.trace, again.broken) == (first.trace, ())
    assert len(trace.lines) > 30
    assert (await play(cities, seed=8))[0].trace != first.trace


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_fault_is_found(cities: Cities, bug: str) -> None:
    for seed in range(MOST_SEEDS):
        result, _ = await play(cities, seed, bug)
        if result.broken:
            print(f"{bug}: found by seed {seed}: {result.broken[0]}")
            assert result.again.endswith(f"--bug {bug}")
            return
    pytest.fail(f"{bug}: not found within {MOST_SEEDS} seeds")
