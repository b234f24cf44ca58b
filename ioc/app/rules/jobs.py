"""Backtests and test runs that people start from the workbench: few at a time, one each, kept for a while.

They live in the process that was asked. Every one ends: done, failed, cancelled, or at its time limit.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge

from ioc.api.ports import NotFoundError
from ioc.api.workbench_ports import BusyError, JobState
from ioc.app.rules.tasks import Task, TaskRefusedError, run_task

QUICK_S: Final = 60.0
"""Longest time of a test run or an explanation."""
MAX_KEPT: Final = 100
"""Results kept, however young; the oldest go first."""

_ended = Counter(
    "ioc_workbench_jobs_total", "Backtests, test runs and explanations of the workbench", ["outcome"]
)
_running = Gauge("ioc_workbench_jobs_running", "Those that run now")
_log = structlog.get_logger()

RunTask = Callable[[Task, Callable[[float, int], None], float], Awaitable[Any]]


@dataclass(eq=False)
class RuleJob:
    """One backtest. `result` is what the task found, `context` what its starter wants to remember."""

    id: str
    author: str
    context: Any
    started_s: float
    state: JobState = JobState.RUNNING
    share: float = 0.0
    events: int = 0
    error: str | None = None
    no_history: bool = False
    result: Any = None
    ended_s: float | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class RuleJobs:
    """The jobs of one process; `run` must be running."""

    def __init__(
        self,
        *,
        most: int,
        limit_s: float,
        keep_s: float,
        clock_s: Callable[[], float],
        run: RunTask = run_task,
    ) -> None:
        self._most = most
        self._limit_s = limit_s
        self._keep_s = keep_s
        self._clock_s = clock_s
        self._run_task = run
        self._jobs: dict[str, RuleJob] = {}
        self._quick: set[str] = set()
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Let jobs run until cancelled; they end with it."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    def start(self, author: str, task: Task, context: Any) -> RuleJob:
        """Begin a backtest.

        Raises:
            BusyError: this person has one running, as many run as may, or the service is ending.
        """
        self._forget()
        running = [job for job in self._jobs.values() if job.state is JobState.RUNNING]
        if any(job.author == author for job in running):
            raise BusyError("A backtest of yours is running; wait for it or cancel it.")
        if len(running) >= self._most or self._group is None:
            raise BusyError(f"{len(running)} backtests run already; try again when one has ended.")
        job = RuleJob(secrets.token_hex(12), author, context, self._clock_s())
        self._jobs[job.id] = job
        job.task = self._group.create_task(self._work(job, task))
        return job

    async def _work(self, job: RuleJob, task: Task) -> None:
        def progress(share: float, events: int) -> None:
            job.share, job.events = share, events

        try:
            with _running.track_inprogress():
                job.result = await self._run_task(task, progress, self._limit_s)
            job.state, job.share = JobState.DONE, 1.0
        except TaskRefusedError as error:
            # Nothing to try it on is an answer, not a failure.
            job.state = JobState.DONE if error.no_history else JobState.FAILED
            job.error, job.no_history = str(error), error.no_history
        except TimeoutError:
            job.state = JobState.FAILED
            job.error = f"longer than {self._limit_s:g} s (rules.workbench_s); choose a shorter time"
        except asyncio.CancelledError:
            job.state = JobState.CANCELLED
            raise
        except Exception as error:  # one job's fault ends no other's
            _log.exception("a backtest failed")
            job.state, job.error = (
                JobState.FAILED,
                f"the fault is ours and has been logged ({type(error).__name__})",
            )
        finally:
            job.ended_s = self._clock_s()
            _ended.labels(job.state.value).inc()

    def get(self, author: str, job: str) -> RuleJob:
        """Return one of somebody's jobs.

        Raises:
            NotFoundError: there is none, or it is somebody else's.
        """
        self._forget()
        found = self._jobs.get(job)
        if found is None or found.author != author:
            raise NotFoundError(job)
        return found

    def cancel(self, author: str, job: str) -> RuleJob:
        """End one of somebody's jobs; one that has ended stays as it is.

        Raises:
            NotFoundError: there is none, or it is somebody else's.
        """
        found = self.get(author, job)
        if found.state is JobState.RUNNING and found.task is not None:
            found.task.cancel()
            found.state = JobState.CANCELLED
            found.ended_s = self._clock_s()
        return found

    async def quick(self, author: str, task: Task) -> Any:
        """Do something short and return its result.

        Raises:
            BusyError: this person waits for one already, or as many run as may.
            TaskRefusedError: it cannot be done, or took too long.
        """
        if author in self._quick or len(self._quick) >= self._most:
            raise BusyError("A test run or an explanation is under way; try again when it has ended.")
        self._quick.add(author)
        outcome = "failed"
        try:
            with _running.track_inprogress():
                found = await self._run_task(task, lambda _share, _events: None, QUICK_S)
            outcome = "done"
            return found
        except TimeoutError as error:
            raise TaskRefusedError(f"longer than {QUICK_S:g} s; ask for less") from error
        finally:
            self._quick.discard(author)
            _ended.labels(outcome).inc()

    def _forget(self) -> None:
        """Drop results whose time is over, and the oldest beyond `MAX_KEPT`."""
        ended = [job for job in self._jobs.values() if job.ended_s is not None]
        now_s = self._clock_s()
        old = [job for job in ended if now_s - (job.ended_s or 0) > self._keep_s]
        surplus = itertools.islice(ended, max(0, len(ended) - MAX_KEPT))
        for job in {*old, *surplus}:
            self._jobs.pop(job.id, None)
