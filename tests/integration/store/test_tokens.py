"""Tokens: valid within their time, for their scopes, until revoked; never stored in plain text."""

import psycopg
import pytest

from ioc.store.embedded import Dsns
from ioc.store.pool import Pool
from ioc.store.tokens import Tokens, TokenTakenError, UnknownTokenError
from ioc.store.users import Role, UnfitError


async def issue(tokens: Tokens, token_id: str = "partner", **changes: object) -> str:
    given = {"role": Role.WARD, "wards": ["25750", "25747"], "scopes": ["places"], "days": 1.0, "by": "admin"}
    token, _ = await tokens.issue(token_id, **(given | changes))  # type: ignore[arg-type]
    return token


async def test_a_token_stands_for_its_role_wards_and_scopes(pool: Pool) -> None:
    tokens = Tokens(pool)
    found = await tokens.read(await issue(tokens))
    assert found is not None
    assert (found.person.username, found.person.role, found.person.wards, found.scopes) == (
        "token:partner", Role.WARD, ("25747", "25750"), {"places"},
    )  # fmt: skip
    (listed,) = await tokens.list()
    assert listed.used is not None and listed.revoked is None


async def test_it_ends_when_revoked_and_when_its_time_is_over(pool: Pool, database: Dsns) -> None:
    tokens = Tokens(pool)
    token, other = await issue(tokens), await issue(tokens, "other")
    await tokens.revoke("partner", by="admin")
    await tokens.revoke("partner", by="admin")
    assert await tokens.read(token) is None
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute(
            "UPDATE api_token SET created = now() - interval '2 h', expires = now() - interval '1 s'"
        )
    assert await tokens.read(other) is None
    for bad in ("", "ioct_", "ioct_" + "x" * 43, token[:-1], "iocd_" + token[5:]):
        assert await tokens.read(bad) is None


async def test_what_makes_no_sense_is_refused_and_an_id_is_used_once(pool: Pool) -> None:
    tokens = Tokens(pool)
    await issue(tokens)
    with pytest.raises(TokenTakenError):
        await issue(tokens)
    for token_id, changes in (
        ("A", {}), ("x y", {}), ("", {}), ("new", {"days": 0}), ("new", {"days": 400}),
        ("new", {"days": float("nan")}), ("new", {"scopes": []}), ("new", {"wards": None}),
        ("new", {"role": Role.ADMIN}),
    ):  # fmt: skip
        with pytest.raises(UnfitError):
            await issue(tokens, token_id, **changes)
    with pytest.raises(UnknownTokenError):
        await tokens.revoke("nothing", by="admin")
