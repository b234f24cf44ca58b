"""A client of the application over fakes."""

from collections.abc import Callable

import httpx
import pytest

from ioc.api.application import ApiDeps, create_api
from ioc.store.users import Role
from tests.unit.api.fakes import WARD, FakeUsers, make_deps

Browser = Callable[..., httpx.AsyncClient]


@pytest.fixture
def users() -> FakeUsers:
    return FakeUsers()


@pytest.fixture
def browse(users: FakeUsers) -> Browser:
    """Return a function that opens a browser as somebody of a role; None is nobody."""

    def open_browser(
        role: Role | None = Role.OPERATOR, deps: ApiDeps | None = None, *, header: bool = True
    ) -> httpx.AsyncClient:
        app = create_api(deps or make_deps(users))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("10.9.8.7", 1))
        client = httpx.AsyncClient(transport=transport, base_url="http://ioc.test")
        if role is not None:
            token = users.add(role, (WARD,) if role is Role.WARD else None)
            client.cookies.set("ioc_session", token)
        if header:
            client.headers["X-IOC"] = "1"
        return client

    return open_browser
