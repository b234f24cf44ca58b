"""Second factors on a real PostgreSQL: asked for at login, begun once, a code counts once."""

import base64
from collections.abc import AsyncIterator

import psycopg
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from ioc.app.sealing import Seal
from ioc.store.embedded import Dsns
from ioc.store.pool import Pool, open_pool
from ioc.store.row_scope import SERVICE, acting_as
from ioc.store.second_factor import (
    STEP_S,
    CodeNeededError,
    Enrolment,
    SecondFactors,
    demand,
    drop,
    read_confirmed,
    step_of,
)
from ioc.store.users import AccessSettings, Person, Role, ThrottledError, Users

PASSWORD = "xe lửa chạy qua cầu"
ADDRESS = "192.0.2.7"
NOW_S = 1_800_000_000


class Phone:
    """Somebody's app, and the time of both sides."""

    def __init__(self) -> None:
        self.now_s = float(NOW_S)
        self.secret = b""

    def scan(self, enrolment: Enrolment | None) -> None:
        assert enrolment is not None
        self.secret = base64.b32decode(enrolment.secret)

    def code(self, steps: int = 0) -> str:
        totp = TOTP(self.secret, 6, SHA1(), STEP_S)
        return totp.generate(int(self.now_s) + steps * STEP_S).decode()


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    with acting_as(SERVICE):
        async with open_pool(database.app, name="test") as pool:
            yield pool


def people(pool: Pool, phone: Phone, *roles: Role, key: bytes = b"k" * 32) -> Users:
    factors = SecondFactors(pool, Seal(key), roles, issuer="IOC Bình Dương", now_s=lambda: phone.now_s)
    return Users(pool, AccessSettings(failures_per_pair=3, argon2_memory_kib=1024), factors=factors)


@pytest.fixture
async def users(pool: Pool, phone: Phone) -> Users:
    users = people(pool, phone, Role.ADMIN)
    await users.create_user("chi", name="Chi", password=PASSWORD, role=Role.ADMIN)
    await users.create_user("an", name="An", password=PASSWORD, role=Role.OPERATOR)
    return users


async def refused(users: Users, username: str = "chi", code: str | None = None) -> CodeNeededError:
    with pytest.raises(CodeNeededError) as caught:
        await users.authenticate(username, PASSWORD, ADDRESS, code)
    return caught.value


async def begin(users: Users, phone: Phone, username: str = "chi") -> Person | None:
    phone.scan((await refused(users, username)).enrolment)
    return await users.authenticate(username, PASSWORD, ADDRESS, phone.code())


async def test_whoever_needs_none_is_in_with_the_password(users: Users) -> None:
    assert await users.authenticate("an", PASSWORD, ADDRESS)


async def test_the_first_login_shows_the_secret_until_a_code_has_come_back(
    users: Users, phone: Phone
) -> None:
    first = await refused(users)
    assert (first.rule, first.enrolment) == ("code_required", (await refused(users)).enrolment)
    assert first.enrolment is not None
    assert first.enrolment.uri.startswith("otpauth://totp/IOC%20B%C3%ACnh%20D%C6%B0%C6%A1ng:chi?secret=")
    assert await begin(users, phone)
    phone.now_s += STEP_S
    assert ((await refused(users)).rule, (await refused(users)).enrolment) == ("code_required", None)
    assert await users.authenticate("chi", PASSWORD, ADDRESS, phone.code())


async def test_a_wrong_password_learns_nothing_of_a_second_factor(users: Users) -> None:
    assert await users.authenticate("chi", "không phải mật khẩu", ADDRESS) is None


async def test_a_code_counts_once_and_none_before_it(users: Users, phone: Phone) -> None:
    assert await begin(users, phone)
    for code in (phone.code(), phone.code(-1)):
        assert (await refused(users, code=code)).rule == "code_wrong"
    assert await users.authenticate("chi", PASSWORD, ADDRESS, phone.code(1)), "of a phone that is early"


async def test_a_code_is_good_a_step_early_or_late_and_no_longer() -> None:
    secret = b"s" * 20
    code = TOTP(secret, 6, SHA1(), STEP_S).generate(NOW_S).decode()
    step = NOW_S // STEP_S
    around = {n: step_of(secret, code, NOW_S + n * STEP_S) for n in (-2, -1, 0, 1, 2)}
    assert around == {-2: None, -1: step, 0: step, 1: step, 2: None}
    assert step_of(secret, f"{code[:3]} {code[3:]}", NOW_S) == step
    for wrong in ("", code[:5], code + "0", "abcdef", "١٢٣٤٥٦"):
        assert step_of(secret, wrong, NOW_S) is None


async def test_codes_cannot_be_guessed(users: Users, phone: Phone) -> None:
    assert await begin(users, phone)
    wrong = "000000" if phone.code() != "000000" else "111111"
    for _ in range(3):
        assert (await refused(users, code=wrong)).rule == "code_wrong"
    phone.now_s += STEP_S
    with pytest.raises(ThrottledError):
        await users.authenticate("chi", PASSWORD, ADDRESS, phone.code())


async def test_being_asked_is_no_failure(users: Users, phone: Phone) -> None:
    for _ in range(5):
        assert (await refused(users)).rule == "code_required"
    assert await begin(users, phone)


async def test_an_administrator_asks_anybody_for_one_gives_a_new_one_and_takes_it_away(
    users: Users, pool: Pool, phone: Phone
) -> None:
    async with pool.connection() as connection:
        await demand(connection, "an", by="chi")
        assert await read_confirmed(connection) == {"an": False}
    assert await begin(users, phone, "an")
    lost = phone.secret
    async with pool.connection() as connection:
        assert await read_confirmed(connection) == {"an": True}
        await demand(connection, "an", by="chi")
    phone.scan((await refused(users, "an")).enrolment)
    assert phone.secret != lost
    async with pool.connection() as connection:
        await drop(connection, "an", by="chi")
        rows = await connection.execute("SELECT op, actor FROM audit_entry WHERE op LIKE 'second_factor%'")
        told = sorted(await rows.fetchall())
    assert await users.authenticate("an", PASSWORD, ADDRESS)
    assert told == [
        ("second_factor_dropped", "chi"),
        ("second_factor_enrolled", "an"),
        ("second_factor_set", "chi"),
        ("second_factor_set", "chi"),
    ]


async def test_a_secret_of_another_key_or_another_account_opens_nothing(
    users: Users, pool: Pool, phone: Phone
) -> None:
    assert await begin(users, phone)
    phone.now_s += STEP_S
    other = people(pool, phone, Role.ADMIN, key=b"o" * 32)
    assert (await refused(other, code=phone.code())).rule == "code_unreadable"
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO second_factor SELECT 'an', sealed, confirmed, 0 FROM second_factor"
        )
    assert (await refused(users, "an", phone.code())).rule == "code_unreadable"


async def test_nobody_but_the_service_reads_second_factors(
    users: Users, phone: Phone, database: Dsns
) -> None:
    assert await begin(users, phone)
    async with await psycopg.AsyncConnection.connect(
        database.app, options="-c ioc.scope=person -c ioc.user=chi"
    ) as connection:
        rows = await connection.execute("SELECT count(*) FROM second_factor")
        assert await rows.fetchone() == (0,)
