"""The whole service as a process, on a free port and a throw-away folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.service import Service


@pytest.fixture
def service() -> Iterator[Service]:
    """A started service with the demo city and no simulators."""
    with tempfile.TemporaryDirectory(prefix="ioc-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        service = Service(Path(folder) / "var")
        service.start()
        try:
            yield service
        finally:
            service.stop()
