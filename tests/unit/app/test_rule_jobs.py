"""Backtests that people start: one each, few in all, every one ends, nothing is kept for ever."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ioc.api.ports import NotFoundError
from ioc.api.workbench_ports import BusyError, JobState
from ioc.app.rules.jobs import RuleJob, RuleJobs
from ioc.app.rules.tasks import PlayTests, Task, TaskRefusedError

TASK = PlayTests(file="a.yaml", text="", tests="")


class Work:
    """Work that a test lets end as it likes."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.ends: list[asyncio.Future[Any]] = []

    async def run(self, _task: Task, progress: Callable[[float, int], None], _limit_s: float) -> Any:
        progress(0.5, 10)
        end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        return await end

    @asynccontextmanager
    async def jobs(self, most: int = 2) -> AsyncIterator[RuleJobs]:
        found = RuleJobs(most=most, limit_s=9, keep_s=60, clock_s=lambda: self.now_s, run=self.run)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(found.run())
            await self.until(lambda: found._group is not None)
            yield found
            running.cancel()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - whatever becomes true, seen from outside
                await asyncio.sleep(0)

    async def ended(self, job: RuleJob) -> None:
        await self.until(lambda: job.ended_s is not None)


@pytest.fixture
def work() -> Work:
    return Work()


async def test_a_person_has_one_at_a_time_and_all_together_few(work: Work) -> None:
    async with work.jobs(most=2) as jobs:
        first = jobs.start("an", TASK, None)
        with pytest.raises(BusyError, match="of yours"):
            jobs.start("an", TASK, None)
        jobs.start("binh", TASK, None)
        with pytest.raises(BusyError, match="2 backtests run"):
            jobs.start("chi", TASK, None)
        await work.until(lambda: len(work.ends) == 2)
        assert (first.share, first.events) == (0.5, 10)
        work.ends[0].set_result({"found": 1})
        await work.ended(first)
        assert (first.state, first.result) == (JobState.DONE, {"found": 1})
        jobs.start("chi", TASK, None)


async def test_nobody_sees_or_ends_what_another_has_started(work: Work) -> None:
    async with work.jobs() as jobs:
        job = jobs.start("an", TASK, None)
        for look in (jobs.get, jobs.cancel):
            with pytest.raises(NotFoundError):
                look("binh", job.id)
        assert jobs.get("an", job.id).state is JobState.RUNNING


async def test_a_cancelled_one_ends_even_before_it_has_begun_and_makes_room(work: Work) -> None:
    async with work.jobs(most=1) as jobs:
        job = jobs.start("an", TASK, None)
        assert jobs.cancel("an", job.id).state is JobState.CANCELLED
        again = jobs.start("an", TASK, None)
        await work.until(lambda: len(work.ends) == 1)
        jobs.cancel("an", again.id)
        await work.until(lambda: work.ends[0].cancelled())
        assert again.state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (TimeoutError(), JobState.FAILED, "rules.workbench_s"),
        (TaskRefusedError("no such time"), JobState.FAILED, "no such time"),
        (TaskRefusedError("no history", no_history=True), JobState.DONE, "no history"),
        (RuntimeError("gone"), JobState.FAILED, "has been logged"),
    ],
)
async def test_each_way_to_end_is_told(work: Work, error: Exception, state: JobState, words: str) -> None:
    async with work.jobs() as jobs:
        job = jobs.start("an", TASK, None)
        await work.until(lambda: len(work.ends) == 1)
        work.ends[0].set_exception(error)
        await work.ended(job)
        assert job.state is state
        assert words in (job.error or "")


async def test_a_result_is_kept_for_a_bounded_time(work: Work) -> None:
    async with work.jobs() as jobs:
        job = jobs.start("an", TASK, None)
        await work.until(lambda: len(work.ends) == 1)
        work.ends[0].set_result(None)
        await work.ended(job)
        work.now_s = 60.0
        assert jobs.get("an", job.id) is job
        work.now_s = 60.1
        with pytest.raises(NotFoundError):
            jobs.get("an", job.id)


async def test_test_runs_are_bounded_too(work: Work) -> None:
    async with work.jobs(most=1) as jobs, asyncio.TaskGroup() as group:
        first = group.create_task(jobs.quick("an", TASK))
        await work.until(lambda: len(work.ends) == 1)
        with pytest.raises(BusyError):
            await jobs.quick("binh", TASK)
        work.ends[0].set_result(7)
        assert await first == 7


NOISY = """
import structlog
from ioc.app.rules import tasks as rule_tasks
def work(task):
    print("of a library")
    structlog.get_logger().warning("cannot reach 0912345678")
    return {"done": True}
rule_tasks._done = work
rule_tasks.main()
"""


def test_what_is_logged_or_printed_never_stands_among_the_answers() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NOISY],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(b'{"task":"tests","file":"a.yaml","text":"","tests":""}\n')
        process.stdin.flush()
        answers, logged = process.stdout.read(), process.stderr.read().decode()
    assert [json.loads(line) for line in answers.splitlines()] == [{"result": {"done": True}}]
    assert "of a library" in logged and "cannot reach" in logged
    assert "0912345678" not in logged, "personal data is masked as in every other log"
