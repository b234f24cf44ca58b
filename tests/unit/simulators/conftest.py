from pathlib import Path

import pytest

from simulators.fleet import Fleet, load_fleet
from simulators.times import parse_us

DEMO = Path(__file__).parents[3] / "demo"
START_US = parse_us("2026-11-23T06:45:00+07:00")


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """The committed demo city's devices and places."""
    return load_fleet(DEMO / "devices.geojson", DEMO / "areas.geojson")
