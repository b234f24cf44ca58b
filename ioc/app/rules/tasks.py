"""Heavy work on rules in a process of its own: it holds no event loop up, can be ended, and has a time limit.

The parent sends one `Task` as a line of JSON and keeps the pipe open; the process answers with lines: how far
it is, and at last a result or a refusal. It ends when the pipe closes, so that it never outlives its parent.

    result = await run_task(task, progress, limit_s=60)
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from ioc.app.directory import Directory
from ioc.app.logs import configure_logs
from ioc.app.rules import report as rule_report
from ioc.app.rules.backtest import NoHistoryError
from ioc.app.rules.cases import play_case_texts
from ioc.app.rules.push import PushRefused
from ioc.app.rules.trials import Against, Trials
from ioc.rules.backtest import Change
from ioc.rules.errors import InvalidRules
from ioc.store.pool import open_pool

MAX_ITEMS: Final = 2_000
"""Differences of a backtest that are listed, shared by the kinds; all are counted."""
MAX_LINE: Final = 2**26
STATEMENT_S: Final = 120.0
_NICE: Final = 10


class PlayTests(msgspec.Struct, frozen=True, kw_only=True, tag_field="task", tag="tests"):
    """Play `tests` against the rule file `text`. Needs no database."""

    file: str
    text: str
    tests: str


class _OnHistory(msgspec.Struct, frozen=True, kw_only=True, tag_field="task"):
    dsn: str
    lateness_s: float
    operators: int
    folder: str
    texts: dict[str, str] | None


class Backtest(_OnHistory, frozen=True, kw_only=True, tag="backtest"):
    """Run `texts` over [from, to) beside what is in force."""

    from_us: int | None
    to_us: int | None
    length_us: int


class Why(_OnHistory, frozen=True, kw_only=True, tag="why"):
    """Explain a rule in force, or of `texts`."""

    rule: str
    key: str
    at_us: int


Task = PlayTests | Backtest | Why


class _Line(msgspec.Struct, omit_defaults=True):
    """What the process says."""

    progress: tuple[float, int] | None = None
    result: Any = None
    refused: str | None = None
    no_history: bool = False


class TaskRefusedError(Exception):
    """The work cannot be done; the message says why. `no_history`: there is nothing to do it on."""

    def __init__(self, message: str, *, no_history: bool = False) -> None:
        super().__init__(message)
        self.no_history = no_history


async def run_task(task: Task, progress: Callable[[float, int], None], limit_s: float) -> Any:
    """Do `task` elsewhere and return its result as plain data.

    Raises:
        TaskRefusedError: it cannot be done.
        TimeoutError: it took longer than `limit_s`.
        RuntimeError: the process ended without an answer.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ioc.app.rules.tasks",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(limit_s):
            process.stdin.write(msgspec.json.encode(task) + b"\n")
            await process.stdin.drain()
            async for said in process.stdout:
                line = msgspec.json.decode(said, type=_Line)
                if line.refused is not None:
                    raise TaskRefusedError(line.refused, no_history=line.no_history)
                if line.progress is None:
                    return line.result
                progress(*line.progress)
        raise RuntimeError("the work ended without a result; the service's log says why")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


# in the process ---------------------------------------------------------------------------------------------


def _say(line: _Line) -> None:
    assert sys.__stdout__ is not None
    sys.__stdout__.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.__stdout__.buffer.flush()


def _progress(share: float, events: int) -> None:
    _say(_Line(progress=(share, events)))


async def _on_history(task: Backtest | Why) -> Any:
    async with open_pool(task.dsn, name="trial", max_size=2, statement_timeout_s=STATEMENT_S) as pool:
        directory = Directory(pool)
        await directory.refresh()
        trials = Trials(pool, directory, task.lateness_s, task.operators, Path(task.folder))
        if isinstance(task, Why):
            return rule_report.why_json(await trials.why(task.rule, task.key, task.at_us, task.texts))
        against: Against = "current"
        report = await trials.backtest(
            task.texts or {}, against, task.from_us, task.to_us, task.length_us, _progress
        )
    found = rule_report.as_json(report)
    kinds = [str(change) for change in Change if change is not Change.SAME]
    found["counts"] = {kind: len(found[kind]) for kind in kinds} | {"same": found["same"]}
    for kind in kinds:
        found[kind] = found[kind][: MAX_ITEMS // len(kinds)]
    return found


def _done(task: Task) -> Any:
    if isinstance(task, PlayTests):
        return msgspec.to_builtins(play_case_texts(task.file, task.text, task.tests))
    return asyncio.run(_on_history(task))


def _end_with_parent() -> None:
    """Wait until the parent closes the pipe, or is gone."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Do the one task that the parent sends."""
    os.nice(_NICE)
    sys.stdout = sys.stderr  # what is printed must not stand among the answers
    configure_logs("warning")
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _say(_Line(result=_done(task)))
    except NoHistoryError as error:
        _say(_Line(refused=str(error), no_history=True))
    except (InvalidRules, PushRefused) as error:
        _say(_Line(refused=str(error)))
    # Reading from the pipe, the thread holds a lock that an ordinary end would wait for.
    os._exit(0)


if __name__ == "__main__":
    main()
