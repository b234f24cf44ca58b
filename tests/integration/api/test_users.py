"""People and sessions on real PostgreSQL, as the unprivileged role."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.users import (
    AccessSettings,
    Role,
    ThrottledError,
    UnfitError,
    UnknownUserError,
    UsernameTakenError,
    Users,
    token_hash,
)

CHEAP = AccessSettings(
    argon2_memory_kib=8, argon2_passes=1, failures_per_pair=3, failures_per_ip=6, failures_per_user=8
)
PASSWORD = "mèo ngủ trên mái"


@pytest.fixture
async def users(database: Dsns) -> AsyncIterator[Users]:
    async with open_pool(database.app, name="users", max_size=4) as pool:
        found = Users(pool, CHEAP)
        await found.create_user("an", name="Trần An", password=PASSWORD, role=Role.OPERATOR)
        await found.create_user(
            "phuong", name="Lê Phượng", password=PASSWORD, role=Role.WARD, wards=["25747"]
        )
        yield found


def execute(database: Dsns, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.admin, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


async def test_a_person_logs_in_with_any_spelling_of_the_name_and_composition_of_the_password(
    users: Users,
) -> None:
    person = await users.authenticate("  AN ", "mèo ngủ trên mái", "10.0.0.1")
    assert person is not None
    assert (person.username, person.role, person.wards) == ("an", Role.OPERATOR, None)
    ward = await users.authenticate("phuong", PASSWORD, "10.0.0.1")
    assert ward is not None and ward.wards == ("25747",)


@pytest.mark.parametrize("username", ["an", "nobody", "\x00", "\ud800", "", "x" * 500, "?"])
async def test_a_wrong_name_or_password_is_nobody(users: Users, username: str) -> None:
    assert await users.authenticate(username, "wrong \ud800 password", "10.0.0.1") is None


async def test_an_unknown_name_costs_the_same_work(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []
    verify = users._verify

    async def counting(hashed: str, password: str) -> bool:
        verified.append(hashed)
        return await verify(hashed, password)

    monkeypatch.setattr(users, "_verify", counting)
    await users.authenticate("nobody", "x", "10.0.0.1")
    await users.authenticate("an", "x", "10.0.0.1")
    assert len(verified) == 2
    assert all(hashed.startswith("$argon2id$") for hashed in verified)


async def test_neither_password_nor_token_is_stored(users: Users, database: Dsns) -> None:
    token = await users.open_session("an", "Firefox")
    ((stored, agent),) = execute(database, "SELECT token_hash, user_agent FROM login_session")
    assert bytes(stored) == token_hash(token) and agent == "Firefox"
    everything = str(execute(database, "SELECT a::text FROM account a"))
    assert PASSWORD not in everything and "$argon2id$" in everything


def test_the_default_hash_is_as_strong_as_owasp_asks() -> None:
    defaults = AccessSettings()
    assert (defaults.argon2_memory_kib, defaults.argon2_passes) == (19 * 1024, 2)


async def test_guessing_a_name_is_stopped_where_it_happens_and_nowhere_else(users: Users) -> None:
    for _ in range(3):
        assert await users.authenticate("an", "wrong", "10.0.0.1") is None
    with pytest.raises(ThrottledError) as throttled:
        await users.authenticate("AN", PASSWORD, "10.0.0.1")
    assert 0 < throttled.value.retry_after_s <= 900
    assert await users.authenticate("an", PASSWORD, "10.0.0.2") is not None, "its owner sits elsewhere"
    assert await users.authenticate("phuong", PASSWORD, "10.0.0.1") is not None
    with pytest.raises(ThrottledError):
        await users.authenticate("an", PASSWORD, "10.0.0.1")


async def test_a_control_room_behind_one_address_may_log_in_as_often_as_it_likes(users: Users) -> None:
    for _ in range(20):
        assert await users.authenticate("an", PASSWORD, "10.0.0.1") is not None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(users.authenticate("phuong", PASSWORD, "10.0.0.1")) for _ in range(3)]
    assert all(task.result() for task in tasks)


async def test_a_success_does_not_give_an_address_new_guesses(users: Users) -> None:
    for n in range(6):
        await users.authenticate(f"user{n}", "wrong", "10.0.0.1")
        if n < 5:
            assert await users.authenticate("an", PASSWORD, "10.0.0.1") is not None
    with pytest.raises(ThrottledError):
        await users.authenticate("user7", "wrong", "10.0.0.1")


async def test_refused_attempts_do_not_count_on(users: Users, database: Dsns) -> None:
    for _ in range(3):
        await users.authenticate("an", "wrong", "10.0.0.1")
    before = execute(database, "SELECT key, attempts FROM login_throttle ORDER BY key")
    for _ in range(5):
        with pytest.raises(ThrottledError):
            await users.authenticate("an", "wrong", "10.0.0.1")
    assert execute(database, "SELECT key, attempts FROM login_throttle ORDER BY key") == before
    assert [attempts for _, attempts in before] == [3, 3, 3]


async def test_guessing_one_name_from_many_places_is_delayed_but_never_locks_its_owner_out(
    database: Dsns,
) -> None:
    delays: list[float] = []

    async def sleep(delay_s: float) -> None:
        delays.append(delay_s)

    async with open_pool(database.app, name="users") as pool:
        users = Users(pool, CHEAP, sleep=sleep)
        await users.create_user("an", name="Trần An", password=PASSWORD, role=Role.OPERATOR)
        for n in range(8):
            await users.authenticate("an", "wrong", f"10.0.1.{n}")
        assert delays == []
        for n in range(80):
            await users.authenticate("an", "wrong", f"10.0.2.{n}")
        assert delays[:3] == pytest.approx([0.1, 0.2, 0.3]) and max(delays) == delays[-1] == 5.0
        assert await users.authenticate("an", PASSWORD, "10.0.0.9") is not None
        assert delays[-1] == 5.0, "who knows the password waits like everybody"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("unknown", "unknown", True),
    ],
)
async def test_one_place_is_one_address_or_one_ipv6_network(
    users: Users, first: str, second: str, same: bool
) -> None:
    for _ in range(3):
        await users.authenticate("an", "wrong", first)
    if same:
        with pytest.raises(ThrottledError):
            await users.authenticate("an", PASSWORD, second)
    else:
        assert await users.authenticate("an", PASSWORD, second) is not None


async def test_guessing_is_stopped_by_address(users: Users) -> None:
    for n in range(6):
        await users.authenticate(f"user{n}", "wrong", "10.0.0.1")
    with pytest.raises(ThrottledError):
        await users.authenticate("an", PASSWORD, "10.0.0.1")
    assert await users.authenticate("an", PASSWORD, "10.0.0.2") is not None


async def test_parallel_guesses_do_not_slip_past_the_limit(users: Users) -> None:
    async def guess() -> bool:
        try:
            await users.authenticate("an", "wrong", "10.0.0.1")
        except ThrottledError:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(guess()) for _ in range(12)]
    assert sum(task.result() for task in tasks) == 3


async def test_a_success_clears_the_count_and_time_does_too(users: Users, database: Dsns) -> None:
    for _ in range(2):
        await users.authenticate("an", "wrong", "10.0.0.1")
    assert await users.authenticate("an", PASSWORD, "10.0.0.1")
    for _ in range(3):
        assert await users.authenticate("an", "wrong", "10.0.0.3") is None
    execute(database, "UPDATE login_throttle SET since = since - interval '16 minutes'")
    assert await users.authenticate("an", PASSWORD, "10.0.0.3")


async def test_the_counts_are_bounded(users: Users, database: Dsns) -> None:
    async with open_pool(database.app, name="users") as pool:
        small = Users(pool, AccessSettings(argon2_memory_kib=8, argon2_passes=1, throttle_rows=10))
        for n in range(30):
            await small.authenticate(f"invented{n}", "x", f"10.0.1.{n}")
    ((rows,),) = execute(database, "SELECT count(*) FROM login_throttle")
    assert rows <= 12, "three counts for each attempt"


async def test_a_session_is_read_until_it_is_closed(users: Users) -> None:
    first, second = await users.open_session("an"), await users.open_session("an")
    person = await users.read_session(first)
    assert person is not None and person.name == "Trần An"
    await users.close_session(token_hash(first))
    await users.close_session(token_hash(first))
    assert await users.read_session(first) is None
    assert await users.read_session(second) is not None
    assert await users.close_sessions("AN") == 1
    assert await users.read_session(second) is None
    assert await users.read_session("invented") is None


@pytest.mark.parametrize(
    "change", ["seen = now() - interval '12 hours 1 second'", "created = now() - interval '8 days'"]
)
async def test_a_session_ends_when_idle_and_in_any_case(users: Users, database: Dsns, change: str) -> None:
    token = await users.open_session("an")
    execute(database, f"UPDATE login_session SET {change}")
    assert await users.read_session(token) is None
    await users.open_session("an")
    ((rows,),) = execute(database, "SELECT count(*) FROM login_session")
    assert rows == 1, "and its row goes with the next login"


async def test_use_keeps_a_session_alive_without_a_write_each_time(users: Users, database: Dsns) -> None:
    token = await users.open_session("an")
    ((before,),) = execute(database, "SELECT seen FROM login_session")
    await users.read_session(token)
    ((same,),) = execute(database, "SELECT seen FROM login_session")
    execute(database, "UPDATE login_session SET seen = seen - interval '2 hours'")
    await users.read_session(token)
    ((after,),) = execute(database, "SELECT seen FROM login_session")
    assert before == same < after


async def test_a_person_has_at_most_so_many_sessions(users: Users, database: Dsns) -> None:
    async with open_pool(database.app, name="users") as pool:
        few = Users(pool, AccessSettings(sessions_per_user=2))
        tokens = [await few.open_session("an") for _ in range(3)]
        assert [await few.read_session(token) is not None for token in tokens] == [False, True, True]


async def test_disabling_and_a_new_password_end_every_session(users: Users) -> None:
    token = await users.open_session("an")
    await users.set_disabled("an")
    assert await users.read_session(token) is None
    assert await users.authenticate("an", PASSWORD, "10.0.0.1") is None
    await users.set_disabled("an", False)
    token = await users.open_session("an")
    await users.set_password("an", "another password")
    assert await users.read_session(token) is None
    assert await users.authenticate("an", PASSWORD, "10.0.0.1") is None
    assert await users.authenticate("an", "another password", "10.0.0.1") is not None


@pytest.mark.parametrize("change", ["access", "disabled", "password", "sessions"])
async def test_what_takes_rights_away_ends_sessions_and_tells_every_process(
    users: Users, database: Dsns, change: str
) -> None:
    token = await users.open_session("phuong")
    other = await users.open_session("an")
    async with await psycopg.AsyncConnection.connect(database.app, autocommit=True) as listener:
        await listener.execute("LISTEN ioc_access")
        match change:
            case "access":
                await users.set_access("Phuong", Role.WARD, ["25750", "25747"], by="admin")
            case "disabled":
                await users.set_disabled("Phuong", by="admin")
            case "password":
                await users.set_password("Phuong", "another password", by="admin")
            case _:
                assert await users.close_sessions("Phuong", by="admin") == 1
        told = [notice.payload async for notice in listener.notifies(timeout=60, stop_after=1)]
    assert told == ["phuong"]
    assert await users.read_session(token) is None
    assert await users.read_session(other) is not None
    entries = execute(database, "SELECT actor, subject FROM audit_entry ORDER BY area, seq DESC LIMIT 1")
    assert entries == [("admin", "phuong")]


async def test_a_weak_hash_is_replaced_at_the_next_login(users: Users, database: Dsns) -> None:
    async with open_pool(database.app, name="users") as pool:
        stronger = Users(pool, AccessSettings(argon2_memory_kib=64, argon2_passes=2))
        assert await stronger.authenticate("an", PASSWORD, "10.0.0.1")
        ((hashed,),) = execute(database, "SELECT password_hash FROM account WHERE username = 'an'")
        assert "m=64,t=2" in hashed
        assert await stronger.authenticate("an", PASSWORD, "10.0.0.1")


async def test_accounts_that_make_no_sense_are_refused(users: Users, database: Dsns) -> None:
    good: dict[str, Any] = {"name": "X", "password": PASSWORD, "role": Role.OPERATOR}
    with pytest.raises(UsernameTakenError):
        await users.create_user("AN", **good)
    for username, changes in (
        ("x", {}),
        ("trần", {}),
        ("new", {"password": "short"}),
        ("newuser1", {"password": "NewUser1"}),
        ("new", {"password": "x" * 257}),
        ("new", {"role": Role.WARD}),
        ("new", {"wards": ["25747"]}),
        ("new", {"name": " "}),
        ("new", {"lang": "fr"}),
    ):
        with pytest.raises(UnfitError):
            await users.create_user(username, **(good | changes))
    with pytest.raises(UnknownUserError):
        await users.set_password("nobody", PASSWORD)
    with pytest.raises(UnknownUserError):
        await users.set_disabled("nobody")
    with pytest.raises(psycopg.errors.CheckViolation):
        execute(database, "UPDATE account SET wards = NULL WHERE role = 'ward'")
    assert [person.username for person in await users.list_users()] == ["an", "phuong"]


def test_limits_are_as_promised() -> None:
    defaults = AccessSettings()
    assert (defaults.idle, defaults.absolute) == (timedelta(hours=12), timedelta(days=7))
