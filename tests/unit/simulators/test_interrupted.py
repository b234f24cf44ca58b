"""Ctrl-C at any moment: one plain line and exit code 130, never a traceback."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.unit.simulators.conftest import DEMO

FILES = ["--devices", str(DEMO / "devices.geojson"), "--areas", str(DEMO / "areas.geojson")]
INTERRUPTED = "ioc-sim: interrupted"
LAST_S = 120


def test_an_interrupt_while_the_program_is_still_loading_is_one_line() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "simulators", "truth", "demo", *FILES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        # Of what the command line needs the first; the large packages are still to come.
        assert any(line.rstrip().endswith(" msgspec") for line in program.stderr)
        program.send_signal(signal.SIGINT)
        out, errors = program.communicate(timeout=LAST_S)
    told = [line for line in errors.splitlines() if not line.startswith("import time:")]
    assert (out, told, program.returncode) == ("", [INTERRUPTED], 130)


def test_an_interrupt_while_a_command_works_is_one_line(tmp_path: Path) -> None:
    written = tmp_path / "day.ndjson"
    times = ["--start", "2026-11-23T06:45:00+07:00", "--duration", "8640000"]
    command = [sys.executable, "-m", "simulators", "generate", *times, "--out", str(written), *FILES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        while not written.with_name("day.ndjson.part").exists():
            assert program.poll() is None
            time.sleep(0.02)
        program.send_signal(signal.SIGINT)
        out, errors = program.communicate(timeout=LAST_S)
    assert (out, errors.splitlines(), program.returncode) == ("", [INTERRUPTED], 130)
    assert not list(tmp_path.iterdir())
