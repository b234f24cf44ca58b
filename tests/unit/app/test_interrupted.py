"""Ctrl-C while the command line is still loading, which takes seconds: one plain line, no traceback."""

import signal
import subprocess
import sys


def test_an_interrupt_while_the_program_is_still_loading_is_one_line() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "ioc.app", "doctor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        # One of the first that the command line needs; most are still to come.
        assert any(line.rstrip().endswith(" typer") for line in program.stderr)
        program.send_signal(signal.SIGINT)
        out, errors = program.communicate(timeout=120)
    told = [line for line in errors.splitlines() if not line.startswith("import time:")]
    assert (out, told, program.returncode) == ("", ["ioc: interrupted"], 130)


def test_the_drivers_view_of_a_broken_connection_is_not_printed_beside_ours() -> None:
    code = (
        "import logging, ioc.app.cli.main; "
        "logging.getLogger('psycopg.pool').warning('discarding'); print('end')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("end\n", "")
