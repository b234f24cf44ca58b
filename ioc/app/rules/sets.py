"""Versions of the rules as programs: read from the database, compiled against the areas in force, kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import anyio.to_thread
import structlog
from psycopg import AsyncConnection

from ioc.app.rules.files import RuleFolder
from ioc.eventlog.port import EventLog
from ioc.geo.index import AreaIndex
from ioc.model.records import EVENTS_TOPIC, Activate, encode_control
from ioc.model.times import SECOND_US
from ioc.rules.compile import Program, compile_rules, share, split
from ioc.rules.errors import InvalidRules
from ioc.rules.rule import Rule
from ioc.rules.schema import parse_rules
from ioc.store.pool import Pool
from ioc.store.rule_versions import (
    NewChange,
    NewVersion,
    RuleItem,
    add_version,
    lock_versions,
    mark_announced,
    newest_version,
    read_set,
    unannounced,
    warm_between,
)

MAX_KEPT: Final = 8
"""Versions kept in memory."""
MAX_FALLBACK: Final = 20
"""How many versions back a start looks for one that still compiles."""

_log = structlog.get_logger()
Connection = AsyncConnection[Any]


@dataclass(frozen=True)
class RuleSet:
    """The rules as of one version."""

    version: int
    items: tuple[RuleItem, ...]
    active: tuple[Rule, ...]
    """Disabled ones too, marked so."""
    shadow: tuple[Rule, ...]
    """Only those that run."""

    def item(self, rule: str, lane: str = "active") -> RuleItem | None:
        """Return what is stored of a rule."""
        return next((item for item in self.items if (item.rule, item.lane) == (rule, lane)), None)


@dataclass(frozen=True)
class Programs:
    """What a partition runs."""

    version: int
    """The version compiled: an older one than asked for where that does not compile."""
    active: Program
    shadow: Program
    error: str | None = None
    """Why the version asked for does not run."""

    @cached_property
    def local(self) -> "Programs":
        """The rules that a partition of `ioc.events` runs by itself."""
        return replace(self, active=split(self.active)[0], shadow=split(self.shadow)[0])

    @cached_property
    def wide(self) -> "Programs":
        """The rules behind `ioc.wide`."""
        return replace(self, active=split(self.active)[1], shadow=split(self.shadow)[1])

    def shared(self, owns: Callable[[Rule, str], bool]) -> "Programs":
        """Return these wide rules for a partition that answers for the keys it `owns`."""
        return replace(self, active=share(self.active, owns), shadow=share(self.shadow, owns))


class RuleSets:
    """Reads and compiles versions. One per process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sets: dict[int, RuleSet] = {}
        self._programs: dict[int, tuple[AreaIndex, Programs]] = {}

    async def newest(self) -> RuleSet:
        """Return the newest version, whether or not every partition has come to it."""
        async with self._pool.connection() as connection:
            version = await newest_version(connection)
        return await self.get(version)

    async def get(self, version: int) -> RuleSet:
        """Return one version.

        Raises:
            InvalidRules: a stored text is not a rule for this program any more.
        """
        if version not in self._sets:
            async with self._pool.connection() as connection:
                items = await read_set(connection, version)
            self._sets[version] = build_set(version, items)
            while len(self._sets) > MAX_KEPT:
                del self._sets[next(iter(self._sets))]
        return self._sets[version]

    async def enabled_between(self, after: int, version: int) -> list[str]:
        """Return the rules that people have enabled since version `after`."""
        async with self._pool.connection() as connection:
            items = await read_set(connection, version)
        return [item.rule for item in items if item.op == "enable" and item.version > after]

    async def warm_us_between(self, after: int, version: int) -> int:
        """Return the longest past that one of the versions beyond `after` up to `version` asks for."""
        async with self._pool.connection() as connection:
            return await warm_between(connection, after, version) * SECOND_US

    async def programs(self, version: int, index: AreaIndex) -> Programs:
        """Return what to run for `version`; the same object as long as `index` is the same.

        New areas that the rules do not fit never replace a running program. Where nothing of `version` runs
        yet, the newest older version that compiles is taken instead, or else those of its rules that do; and
        `error` says why.

        Raises:
            InvalidRules: a stored text is not a rule any more.
        """
        known = self._programs.get(version)
        if known is not None and known[0] is index:
            return known[1]
        try:
            found = await _compiled(await self.get(version), index)
        except InvalidRules as error:
            _log.error("a version of the rules does not compile", version=version, errors=str(error))
            if known is None:
                found = await self._older(version, index) or await self._fitting(version, index)
            else:
                found = known[1]
            found = replace(found, error=str(error))
        self._programs[version] = (index, found)
        while len(self._programs) > MAX_KEPT:
            del self._programs[next(iter(self._programs))]
        return found

    async def _older(self, version: int, index: AreaIndex) -> Programs | None:
        for older in range(version - 1, max(0, version - 1 - MAX_FALLBACK), -1):
            try:
                return await _compiled(await self.get(older), index)
            except InvalidRules:
                continue
        return None

    async def _fitting(self, version: int, index: AreaIndex) -> Programs:
        """Return what of a version compiles: a rule whose area is gone must not stop all others."""
        rules = await self.get(version)
        active = tuple(rule for rule in rules.active if _fits(rule, index))
        shadow = tuple(rule for rule in rules.shadow if _fits(rule, index))
        return await _compiled(replace(rules, active=active, shadow=shadow), index)


def _fits(rule: Rule, index: AreaIndex) -> bool:
    try:
        compile_rules([rule], index)
    except InvalidRules:
        return False
    return True


def build_set(version: int, items: Sequence[RuleItem]) -> RuleSet:
    """Return the rules of stored items.

    Raises:
        InvalidRules: a text is not a rule any more.
    """
    by_text: dict[tuple[str, str], dict[str, Rule]] = {}
    active, shadow = [], []
    for item in items:
        key = (item.file, item.text)
        if key not in by_text:
            rules, errors = parse_rules(item.file, item.text)
            if errors:
                raise InvalidRules(errors)
            by_text[key] = {rule.name: rule for rule in rules}
        rule = by_text[key][item.rule]
        if item.lane == "active":
            active.append(replace(rule, enabled=rule.enabled and item.enabled))
        elif item.enabled and rule.enabled:
            shadow.append(rule)
    return RuleSet(version, tuple(items), tuple(active), tuple(shadow))


def compile_set(rules: RuleSet, index: AreaIndex) -> Programs:
    """Return the programs of a version.

    Raises:
        InvalidRules: with every finding.
    """
    return Programs(rules.version, compile_rules(rules.active, index), compile_rules(rules.shadow, index))


async def _compiled(rules: RuleSet, index: AreaIndex) -> Programs:
    """Compile beside the loop: the grids of a thousand fences take a good part of a second."""
    return await anyio.to_thread.run_sync(compile_set, rules, index)


async def ensure_first_version(pool: Pool, folder: RuleFolder, index: AreaIndex) -> None:
    """Make the folder version 1 where no version is; else say when the folder is not what runs.

    Raises:
        InvalidRules: the folder does not compile, and nothing else could run.
    """
    async with pool.connection() as connection, connection.transaction():
        newest = await lock_versions(connection)
        if newest == 0:
            folder.compiled_for(index)
            changes = [
                NewChange(rule.name, "active", rule.file, folder.texts[rule.file], rule.version)
                for rule in folder.rules
            ]
            await add_version(
                connection,
                NewVersion(author="ioc", op="import", changes=changes, reason="folder at the first start"),
            )
            return
        items = await read_set(connection, newest)
    running = {item.rule: item.hash for item in items if item.lane == "active"}
    differing = sorted(rule.name for rule in folder.rules if running.get(rule.name) != rule.version)
    if differing:
        _log.warning("rule files differ from the running version; `ioc rules push` them", rules=differing)


async def announce(pool: Pool, log: EventLog) -> list[int]:
    """Append the activation of every version whose control records may be missing; return their numbers.

    Repeats are harmless: the log suppresses them, and a partition ignores versions it has passed.
    """
    async with pool.connection() as connection:
        versions = await unannounced(connection)
    for version, warm_s in versions:
        control = Activate(version, warm_s * SECOND_US)
        await log.append_controls(EVENTS_TOPIC, encode_control(control), f"rules {version}")
        async with pool.connection() as connection:
            await mark_announced(connection, version)
    return [version for version, _ in versions]
