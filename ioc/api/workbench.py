"""The rules workbench: read, check, test, backtest, put into force. For engineers, over the whole city."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from ioc.api.answers import documented, json_answer
from ioc.api.history import parse_time
from ioc.api.problems import NO_NUL, FieldError, Problem, refused
from ioc.api.security import Access, Right, require_own_page, require_right
from ioc.api.workbench_ports import (
    BacktestAsk,
    BenchRefusedError,
    BenchRules,
    BusyError,
    ChangeJson,
    Checked,
    InvalidTextError,
    Job,
    Push,
    Pushed,
    RuleSource,
    StaleRuleError,
    Switch,
    TestsPlayed,
    WhyAsk,
    Workbench,
)
from ioc.rules.describe import rule_schema
from ioc.rules.nodes import MAX_FILE_CHARS
from ioc.store.users import Person

WORKBENCH_PREFIX: Final = "/api/v1/workbench"
BODY_BYTES: Final = 2**20
"""A rule file and its tests."""
WIDE_PATHS: Final = tuple(
    f"{WORKBENCH_PREFIX}/{name}" for name in ("check", "test", "backtests", "push", "why")
)
"""Paths whose bodies may have `BODY_BYTES`."""
RETRY_S: Final = "5"

Answer = TypeVar("Answer")
_FILE = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]{1,200}$")]
_RULE = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
_TEXT = Annotated[str, Field(max_length=MAX_FILE_CHARS), NO_NUL]
_REASON = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"\S"), NO_NUL]
_TIME = Annotated[str, Field(max_length=40)]
_VERSION = Annotated[int, Field(ge=0, le=2**31 - 2)]


class ChangeList(msgspec.Struct, frozen=True):
    """The changes of one rule, newest first."""

    items: list[ChangeJson]


class WhyJson(msgspec.Struct, frozen=True):
    """Why a rule did or did not fire, as `ioc rules why --json` says it."""

    explanation: dict[str, Any]


class SchemaJson(msgspec.Struct, frozen=True):
    """The JSON Schema of rule files."""

    document: dict[str, Any]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CheckBody(_Body):
    """A rule file."""

    file: _FILE
    text: _TEXT


class TestBody(CheckBody):
    """A rule file and a file of tests."""

    tests: _TEXT


class BacktestBody(CheckBody):
    """A rule file and the time to run it over (RFC 3339); `trial` takes the newest hour."""

    start: Annotated[_TIME | None, Field(alias="from")] = None
    end: Annotated[_TIME | None, Field(alias="to")] = None
    trial: bool = False


class PushBody(CheckBody):
    """A rule file to put into force, or with `shadow` to run beside what is. `trial`: a backtest's id."""

    expect_version: _VERSION
    reason: _REASON
    shadow: bool = False
    trial: Annotated[str, Field(max_length=40)] | None = None
    accept_flood: _REASON | None = None


class SwitchBody(_Body):
    """Disable or enable a rule; with `shadow` and `on` false end its shadow."""

    on: bool
    shadow: bool = False
    expect_version: _VERSION
    reason: _REASON


class WhyBody(_Body):
    """Which rule, for which key, when (RFC 3339); `text` explains another text than what is in force."""

    rule: _RULE
    key: Annotated[str, Field(min_length=1, max_length=300), NO_NUL]
    at: _TIME
    file: _FILE | None = None
    text: _TEXT | None = None


async def _told(work: Awaitable[Answer]) -> Answer:
    """Return what `work` does, its refusals as problems."""
    try:
        return await work
    except InvalidTextError as error:
        items = [FieldError("text", "rule", f"{f.line}:{f.column}: {f.message}") for f in error.findings]
        raise Problem(
            422, "The text is no rule.", items, members={"findings": error.findings[:100]}
        ) from error
    except StaleRuleError as error:
        item = FieldError("expect_version", "version", str(error))
        raise Problem(409, str(error), [item], members={"present": error.present}) from error
    except BenchRefusedError as error:
        raise refused(error.field, error.rule, str(error)) from error
    except BusyError as error:
        raise Problem(429, str(error), headers={"Retry-After": RETRY_S}) from error


def _time_us(field: str, text: str | None) -> int | None:
    return None if text is None else parse_time(field, text, 0)


_RuleName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
_JobName = Annotated[str, Path(pattern=r"^[a-z0-9]{1,40}$")]
_Engineer = Callable[..., Awaitable[Person]]


def workbench_router(bench: Workbench, access: Access) -> APIRouter:
    """Return the routes of the workbench."""
    router = APIRouter(prefix=WORKBENCH_PREFIX, tags=["workbench"], dependencies=[Depends(require_own_page)])

    async def engineer(person: Annotated[Person, Depends(access.person)]) -> Person:
        require_right(person, Right.WORKBENCH)
        if person.wards is not None:
            detail = "Rules hold for the whole city; you are limited to wards."
            raise refused("role", "forbidden", detail, 403)
        return person

    _add_reading(router, bench, engineer)
    _add_trying(router, bench, engineer)
    _add_changing(router, bench, engineer)
    return router


def _add_reading(router: APIRouter, bench: Workbench, engineer: _Engineer) -> None:
    Me = Annotated[Person, Depends(engineer)]  # noqa: N806 - a type

    @router.get("/schema", **documented(SchemaJson, text="The JSON Schema."))
    async def read_schema(_me: Me) -> Response:
        """Return the JSON Schema of rule files, for completion and help."""
        return json_answer(SchemaJson(rule_schema()))

    @router.get("/rules", **documented(BenchRules, text="The rules."))
    async def list_rules(_me: Me) -> Response:
        """Return every rule with its state, and how often it fired lately."""
        return json_answer(await bench.rules())

    @router.get("/rules/{rule}", **documented(RuleSource, text="The rule."))
    async def read_rule(rule: _RuleName, _me: Me) -> Response:
        """Return a rule's text, its shadow's and its tests."""
        return json_answer(await bench.source(rule))

    @router.get("/rules/{rule}/history", **documented(ChangeList, text="Its changes, newest first."))
    async def read_history(rule: _RuleName, _me: Me) -> Response:
        """Return who changed a rule when and why, with text and difference."""
        return json_answer(ChangeList(await bench.history(rule)))


def _add_trying(router: APIRouter, bench: Workbench, engineer: _Engineer) -> None:
    Me = Annotated[Person, Depends(engineer)]  # noqa: N806 - a type

    @router.post("/check", **documented(Checked, text="What is wrong with it."))
    async def check(body: CheckBody, _me: Me) -> Response:
        """Compile a text: every finding with line, column and suggestion, and the difference to what runs."""
        return json_answer(await bench.check(body.file, body.text))

    @router.post("/test", **documented(TestsPlayed, text="Each test with what was expected and seen."))
    async def play(body: TestBody, me: Me) -> Response:
        """Play tests against a text."""
        return json_answer(await _told(bench.play(me.username, body.file, body.text, body.tests)))

    @router.post("/backtests", **documented(Job, 202, "It runs."))
    async def start(body: BacktestBody, me: Me) -> Response:
        """Run a text and what is in force over history, beside each other; nothing is written."""
        from_us, to_us = _time_us("from", body.start), _time_us("to", body.end)
        if from_us is not None and to_us is not None and from_us >= to_us:
            raise refused("to", "order", "`to` has to be later than `from`.")
        if body.trial and (from_us is not None or to_us is not None):
            raise refused("trial", "span", "A trial runs over the newest hour; leave out `from` and `to`.")
        asked = BacktestAsk(file=body.file, text=body.text, from_us=from_us, to_us=to_us, trial=body.trial)
        return json_answer(await _told(bench.start(me.username, asked)), 202)

    @router.get("/backtests/{job}", **documented(Job, text="How far it is, and what it found."))
    async def read_job(job: _JobName, me: Me) -> Response:
        """Return one of one's own backtests; a result is kept for a bounded time."""
        return json_answer(bench.job(me.username, job))

    @router.delete("/backtests/{job}", **documented(Job, text="It has ended."))
    async def cancel(job: _JobName, me: Me) -> Response:
        """End one of one's own backtests."""
        return json_answer(bench.cancel(me.username, job))

    @router.post("/why", **documented(WhyJson, text="Every condition, held or not."))
    async def why(body: WhyBody, me: Me) -> Response:
        """Explain why a rule did or did not fire for a key at a moment."""
        if (body.file is None) != (body.text is None):
            raise refused("file", "together", "Send `file` and `text` together, or neither.")
        at_us = _time_us("at", body.at)
        assert at_us is not None
        asked = WhyAsk(rule=body.rule, key=body.key, at_us=at_us, file=body.file, text=body.text)
        return json_answer(WhyJson(await _told(bench.why(me.username, asked))))


def _add_changing(router: APIRouter, bench: Workbench, engineer: _Engineer) -> None:
    Me = Annotated[Person, Depends(engineer)]  # noqa: N806 - a type

    @router.post("/rules/{rule}/switch", **documented(Pushed, text="The new version."))
    async def switch(rule: _RuleName, body: SwitchBody, me: Me) -> Response:
        """Disable or enable a rule, or end its shadow."""
        if body.shadow and body.on:
            raise refused("on", "shadow", "A shadow begins with a push; here it can only be ended.")
        asked = Switch(rule=rule, **body.model_dump())
        return json_answer(Pushed(await _told(bench.switch(me.username, asked))))

    @router.post("/push", **documented(Pushed, text="The new version."))
    async def push(body: PushBody, me: Me) -> Response:
        """Put a text into force, or let it run as a shadow; every partition switches through the log."""
        return json_answer(Pushed(await _told(bench.push(me.username, Push(**body.model_dump())))))
