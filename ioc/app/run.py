"""Runs roles from start to finish: prepares the data, prints where to go, supervises, stops in order."""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from rich.console import Console

from ioc.app.core import Core, Database, open_core
from ioc.app.database_watch import DatabaseWatch
from ioc.app.demo import free_snapshot_port, in_address, prepare_demo, readable_password, simulator_command
from ioc.app.loop_watch import keep_what_is_loaded
from ioc.app.pipeline import ROLES, Pipeline
from ioc.app.rules.files import RuleFolder
from ioc.app.rules.sets import ensure_first_version
from ioc.app.settings import Settings
from ioc.app.supervisor import Service, stop_on_signals, supervise
from ioc.store.layout import find_layout
from ioc.store.row_scope import SERVICE
from ioc.store.users import Role, Users

DATABASE_ROLE = "database"
SIMULATOR_STOP_S = 5.0
SIMULATOR_PAUSE_S = 2.0
USAGE_EXIT_CODE = 2

_log = structlog.get_logger()


class SimulatorsRefusedError(Exception):
    """The simulators were asked for something they cannot do."""


@dataclass(frozen=True)
class RunOptions:
    """What to run."""

    roles: tuple[str, ...]
    demo: bool = False
    simulators: bool = False
    scenario: str = "demo"


async def run_roles(settings: Settings, database: Database, rules: RuleFolder, options: RunOptions) -> None:
    """Run `options.roles` until SIGINT or SIGTERM.

    Raises:
        InvalidRules: a rule does not compile against the areas.
        ExceptionGroup: a service failed.
    """
    stop = asyncio.Event()
    stop_on_signals(asyncio.get_running_loop(), stop)
    async with open_core(settings, database, _owner(options)) as core:
        await _say_database(core)
        users = Users(core.api_pool.of(SERVICE))
        snapshot_port = free_snapshot_port()
        logins = await _prepare(core, users, options, snapshot_port)
        await ensure_first_version(core.pool, rules, core.directory.index)
        pipeline = Pipeline(core, options.demo)
        plan = pipeline.plan(options.roles)
        if database.server and options.roles == ROLES:
            plan.base.append(Service("database watch", DatabaseWatch(database.server).run))
        if options.simulators:
            plan.intake.insert(0, Service("simulators", _simulators(settings, options, snapshot_port)))
        keep_what_is_loaded()
        await supervise(plan, core, stop, lambda: _greet(settings, options, logins))


async def _say_database(core: Core) -> None:
    """Name what was found, so that nobody runs without TimescaleDB and believes otherwise."""
    async with core.pool.connection() as connection:
        found = await find_layout(connection)
    _log.info("database", found=str(found))


async def run_database(database: Database) -> None:
    """Keep the embedded database running until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    stop_on_signals(asyncio.get_running_loop(), stop)
    if database.server is None:
        _log.warning("the database is not the embedded one, there is nothing to run")
        return
    _log.info("running", roles=DATABASE_ROLE)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(DatabaseWatch(database.server).run())
        await stop.wait()
        watch.cancel()


def _owner(options: RunOptions) -> str:
    """Name this process as an owner of partitions.

    `ioc up` is alone on its data, so it keeps one name and takes its partitions back at once after a crash;
    a single role may have siblings, so its name is new each time and a crashed one's lease has to run out.
    """
    if options.roles == ROLES:
        return f"{socket.gethostname()}-up"
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


async def _prepare(core: Core, users: Users, options: RunOptions, snapshot_port: int) -> dict[str, str]:
    """Return logins to show: the demo's, or at the very first start a new administrator's."""
    if options.demo:
        return await prepare_demo(core, users, snapshot_port)
    if "api" not in options.roles or await users.list_users():
        return {}
    password = readable_password()
    await users.create_user("admin", name="Quản trị", password=password, role=Role.ADMIN)
    return {"admin": password}


def _greet(settings: Settings, options: RunOptions, logins: dict[str, str]) -> None:
    if "api" not in options.roles:
        _log.info("running", roles=",".join(options.roles))
        return
    console = Console(stderr=True, highlight=False)
    own = settings.http.host in ("127.0.0.1", "0.0.0.0", "::")  # noqa: S104
    host = "localhost" if own else in_address(settings.http.host)
    console.print(f"\n  Màn hình trực ban · Console [bold]http://{host}:{settings.http.port}/[/]")
    if logins and not options.demo:
        console.print("  First start: shown once; change it with `ioc users password admin`.")
    shown = {"operator": logins["operator"]} if options.demo else logins
    for user, password in shown.items():
        console.print(f"  Đăng nhập · Log in          [bold]{user}[/] / [bold]{password}[/]")
    if options.demo:
        console.print(f"  Other roles                 {settings.data / 'demo' / 'logins.json'}")
    if settings.mqtt.enabled:
        console.print(f"  MQTT                        {settings.mqtt.host}:{settings.mqtt.port}")
    console.print("  Ctrl-C dừng · stops\n")


def _simulators(settings: Settings, options: RunOptions, snapshot_port: int) -> Callable[[], Awaitable[None]]:
    """Return a service that keeps the simulators running as a process of their own."""
    command = simulator_command(settings, options.scenario, snapshot_port)

    async def run() -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
            )
            try:
                code = await process.wait()
            finally:
                if process.returncode is None:
                    await _end(process)
            if code == USAGE_EXIT_CODE:
                # Its message stands above; starting it again would only repeat it.
                raise SimulatorsRefusedError("the simulators cannot start; see their message above")
            _log.warning("simulators ended, starting them again", code=code)
            await asyncio.sleep(SIMULATOR_PAUSE_S)

    return run


async def _end(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(SIMULATOR_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
