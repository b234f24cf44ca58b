"""The same simulated hour in two empty installations gives the same incidents, byte for byte."""

import asyncio
import hashlib
import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from ioc.store.embedded import Dsns
from tests.conftest import Server
from tests.integration.app.test_rule_history import SLICE_S, demo_city, seconds_of

HOUR_S = 3600
_numbers = count()


async def live_through(database: Dsns, batch_records: int) -> None:
    async with demo_city(database) as city:
        seconds = seconds_of(city, "demo", HOUR_S)
        for first in range(0, HOUR_S, SLICE_S):
            await city.append_seconds(seconds[first : first + SLICE_S])
        async with city.worker(batch_records):
            pass


def exported(database: Dsns, folder: Path) -> bytes:
    """Return what `ioc export incidents` writes."""
    names = {"IOC_DATABASE__ADMIN_DSN": database.admin, "IOC_DATABASE__APP_DSN": database.app}
    command = [sys.executable, "-m", "ioc.app.cli", "export", "incidents", "--data", str(folder)]
    return subprocess.run(command, env=os.environ | names, check=True, capture_output=True).stdout


@pytest.mark.slow
def test_the_same_hour_twice_exports_the_same_bytes(
    postgres: Server, migrated_template: str, tmp_path: Path
) -> None:
    exports = []
    for batch_records in (1000, 217):
        database = postgres.create(f"twice_{next(_numbers)}", template=migrated_template)
        asyncio.run(live_through(database, batch_records))
        exports.append(exported(database, tmp_path))
    lines = exports[0].splitlines()
    assert len(lines) > 30
    assert lines == sorted(lines, key=lambda line: line[:40]), "ids come first and in order"
    assert hashlib.sha256(exports[0]).hexdigest() == hashlib.sha256(exports[1]).hexdigest()
