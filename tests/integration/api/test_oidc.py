"""Logging in at a real OpenID Connect provider, and everything its answer must not get away with."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey
from pydantic import SecretStr

from ioc.api.application import create_api
from ioc.app.oidc import OidcLogins
from ioc.app.settings.sections import OidcSettings
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.users import Role, Users, token_hash
from tests.integration.api.identity_provider import CLIENT_ID, CLIENT_SECRET, Provider, identity_provider
from tests.integration.api.test_users import execute
from tests.unit.api.fakes import make_deps

OURS = "http://ioc.test"
SOMEBODY = {
    "sub": "0007",
    "preferred_username": "Cuong",
    "name": "Nguyễn Văn Cường",
    "roles": ["staff", "phuong"],
    "wards": ["25747"],
}


@pytest.fixture
def provider() -> Any:
    with identity_provider() as found:
        found.client.redirect_uri = f"{OURS}/api/v1/session/oidc/callback"
        found.claims = dict(SOMEBODY)
        yield found


@pytest.fixture
async def browser(database: Dsns, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at our service, which knows the provider."""
    settings = OidcSettings(
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        client_secret=SecretStr(CLIENT_SECRET),
        redirect_uri=provider.client.redirect_uri,
        roles={"ioc-admin": Role.ADMIN, "phuong": Role.WARD, "truc-ban": Role.OPERATOR},
    )
    async with open_pool(database.app, name="oidc", max_size=4) as pool:
        logins, users = OidcLogins(settings, pool), Users(pool)
        app = create_api(make_deps(users, oidc=logins))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=OURS) as client:
            yield client
        await logins.aclose()


async def to_provider(browser: httpx.AsyncClient) -> str:
    """Begin a login and let the provider answer; return the path it sends the browser back to."""
    begun = await browser.get("/api/v1/session/oidc")
    assert begun.status_code == 303
    async with httpx.AsyncClient(trust_env=False) as outside:
        answered = await outside.get(begun.headers["location"])
    assert answered.status_code == 302, answered.text
    back: str = answered.headers["location"]
    return back.removeprefix(OURS)


async def log_in(browser: httpx.AsyncClient) -> str:
    """Go there and back; return where the browser ends."""
    done = await browser.get(await to_provider(browser))
    assert done.status_code == 303
    return str(done.headers["location"])


async def test_somebody_logs_in_there_and_is_who_the_claims_say(
    browser: httpx.AsyncClient, database: Dsns
) -> None:
    assert (await browser.get("/api/v1/session/options")).json() == {"oidc": True}
    assert await log_in(browser) == "/"
    assert (await browser.get("/api/v1/session")).json() == {
        "user": "cuong", "name": "Nguyễn Văn Cường", "role": "ward", "wards": ["25747"], "lang": "vi",
    }  # fmt: skip
    ops = execute(database, "SELECT actor, op FROM audit_entry WHERE area = 'access' ORDER BY seq")
    assert ops == [("oidc", "user_added"), ("cuong", "logged_in")]


async def test_pkce_nonce_and_state_are_new_at_every_login(browser: httpx.AsyncClient) -> None:
    seen: dict[str, set[str]] = {"state": set(), "nonce": set(), "code_challenge": set()}
    for _ in range(2):
        begun = await browser.get("/api/v1/session/oidc")
        asked = {
            name: values[0] for name, values in parse_qs(urlsplit(begun.headers["location"]).query).items()
        }
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        for name, values in seen.items():
            assert len(asked[name]) >= 43
            values.add(asked[name])
        cookie = begun.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=lax" in cookie
    assert {len(values) for values in seen.values()} == {2}


def changed(**claims: Any) -> Callable[[Provider], None]:
    def change(provider: Provider) -> None:
        provider.tamper = lambda told: {
            name: value for name, value in (told | claims).items() if value is not ...
        }

    return change


def unknown_key(provider: Provider) -> None:
    provider.signer = RSAKey.generate_key(2048, {"kid": "one"})


def shared_secret(provider: Provider) -> None:
    """The classic: sign with the public key's text, or any text, as a shared secret."""
    provider.signer, provider.algorithm = OctKey.import_key(CLIENT_SECRET * 4, {"kid": "one"}), "HS256"


def weak_algorithm(provider: Provider) -> None:
    """A signature by the right key, but of a kind that is not on our list."""
    provider.algorithm = "RS512"


@pytest.mark.parametrize(
    "wrong",
    [
        changed(iss="https://other.example"),
        changed(aud="somebody-else"),
        changed(aud=["ioc", "somebody-else"], azp="somebody-else"),
        changed(exp=int(time.time()) - 3_600),
        changed(exp=...),
        changed(iat=int(time.time()) + 3_600),
        changed(nonce="another login's"),
        changed(nonce=...),
        changed(sub=...),
        changed(sub=7),
        changed(roles=["staff"]),
        changed(roles=...),
        changed(wards=[]),
        changed(preferred_username="tên có dấu"),
        changed(name="Cường\x00"),
        changed(wards=["25747", "25\x00"]),
        unknown_key,
        shared_secret,
        weak_algorithm,
    ],
)
async def test_an_answer_that_proves_nothing_lets_nobody_in(
    browser: httpx.AsyncClient, provider: Provider, wrong: Callable[[Provider], None], database: Dsns
) -> None:
    wrong(provider)
    assert await log_in(browser) == "/?login=refused"
    assert (await browser.get("/api/v1/session")).status_code == 401
    assert execute(database, "SELECT count(*) FROM account") == [(0,)]


async def test_an_answer_counts_once_and_in_its_own_browser(browser: httpx.AsyncClient) -> None:
    path = await to_provider(browser)
    cookies = dict(browser.cookies)
    browser.cookies.clear()
    assert (await browser.get(path)).headers["location"] == "/?login=refused", "another browser"
    browser.cookies.update(cookies)
    assert (await browser.get(path)).headers["location"] == "/"
    browser.cookies.update(cookies)
    assert (await browser.get(path)).headers["location"] == "/?login=refused", "used"
    for query in ("", "?state=x&code=y", "?state=&code=", "?error=access_denied"):
        back = await browser.get(f"/api/v1/session/oidc/callback{query}")
        assert back.headers["location"] == "/?login=refused"


async def test_rights_follow_the_claims_and_a_change_ends_older_sessions(
    browser: httpx.AsyncClient, provider: Provider, database: Dsns
) -> None:
    await log_in(browser)
    first = browser.cookies["ioc_session"]
    provider.claims |= {"roles": ["truc-ban"], "wards": []}
    assert await log_in(browser) == "/"
    assert (await browser.get("/api/v1/session")).json()["role"] == "operator"
    browser.cookies.clear()
    browser.cookies.set("ioc_session", first)
    assert (await browser.get("/api/v1/session")).status_code == 401
    assert execute(database, "SELECT username FROM account") == [("cuong",)]


async def test_the_session_that_the_browser_had_ends_with_the_login(
    browser: httpx.AsyncClient, database: Dsns
) -> None:
    await log_in(browser)
    path = await to_provider(browser)
    # The answer comes from another site: what is SameSite=Strict stays behind.
    browser.cookies.delete("ioc_session")
    assert (await browser.get(path)).headers["location"] == "/"
    path = await to_provider(browser)
    browser.cookies.delete("ioc_session")
    execute(database, "INSERT INTO login_session (token_hash, username) VALUES (sha256('third'), 'cuong')")
    browser.cookies.set("ioc_session", "third", domain="ioc.test")
    assert (await browser.get(path)).headers["location"] == "/", "logged in anew in another tab, same site"
    left = execute(database, "SELECT encode(token_hash, 'hex') FROM login_session")
    assert left == [(token_hash(browser.cookies["ioc_session"]).hex(),)]


async def test_a_login_that_fails_leaves_the_session_that_the_browser_had(
    browser: httpx.AsyncClient, provider: Provider
) -> None:
    await log_in(browser)
    provider.claims |= {"roles": []}
    assert await log_in(browser) == "/?login=refused"
    assert (await browser.get("/api/v1/session")).status_code == 200


async def test_whom_we_disabled_stays_out_and_no_local_account_is_taken_over(
    browser: httpx.AsyncClient, provider: Provider, database: Dsns
) -> None:
    await log_in(browser)
    execute(database, "UPDATE account SET disabled = true")
    assert await log_in(browser) == "/?login=refused"
    execute(
        database,
        "INSERT INTO account (username, name, password_hash, role) VALUES ('chief', 'C', 'x', 'admin')",
    )
    provider.claims |= {"sub": "0008", "preferred_username": "chief"}
    assert await log_in(browser) == "/?login=refused"
    answer = await browser.post(
        "/api/v1/session", json={"username": "cuong", "password": "x" * 12}, headers={"X-IOC": "1"}
    )
    assert answer.status_code == 401, "there is no password to guess"


async def test_a_provider_that_changed_its_keys_is_asked_for_the_new_ones(
    browser: httpx.AsyncClient, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await log_in(browser) == "/"
    provider.key = provider.signer = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
    monkeypatch.setattr("ioc.outbound.oidc._RENEW_S", 0.0)
    assert await log_in(browser) == "/"


async def test_a_provider_that_does_not_answer_is_said_to_be_away(
    browser: httpx.AsyncClient, provider: Provider
) -> None:
    provider.down = True
    answer = await browser.get("/api/v1/session/oidc")
    assert answer.headers["location"] == "/?login=unavailable"
