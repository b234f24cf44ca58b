"""What the shells of the feed share: who may stay, bringing a client up to date, ending together."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from ioc.stream.hub import Client, Hub
from ioc.stream.ports import Authenticate, SourceUnavailableError
from ioc.stream.wire import EPOCH_CHANGED, NO_SESSION, UNAVAILABLE, CloseRule

SESSION_COOKIE: Final = "ioc_session"
AUTHENTICATED: Final = "authenticated"
"""Code of the notice that answers an `auth`."""
MAX_GUARD_FAILURES: Final = 4


class SocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How clients are let in and watched."""

    origins: frozenset[str] = frozenset()
    """Origins besides the server's own host, e.g. `https://ioc.example.vn`."""
    send_timeout_s: float = 5.0
    revalidate_s: float = 60.0


async def join(hub: Hub, client: Client, wanted: asyncio.Event) -> None:
    """Bring `client` up to date when it says so, then sleep: this part is never the first to end."""
    await wanted.wait()
    await hub.join(client)
    await forever()


async def guard(client: Client, token: str, authenticate: Authenticate, revalidate_s: float) -> None:
    """Close `client` once the person may not be here any more, or with other rights.

    Looks every `revalidate_s`, and at once when the client asks.
    """
    client.close(await _reason_to_leave(client, token, authenticate, revalidate_s))
    await forever()


async def _reason_to_leave(
    client: Client, token: str, authenticate: Authenticate, revalidate_s: float
) -> CloseRule:
    failures = 0
    while failures <= MAX_GUARD_FAILURES:
        asked = await _is_asked(client, revalidate_s / (4 if failures else 1))
        token = (client.newer_token if asked else "") or token
        try:
            found = await authenticate(token)
        except SourceUnavailableError:
            failures += 1
            continue
        failures = 0
        if found is None or found.user != client.viewer.user:
            return NO_SESSION
        if found.scope != client.viewer.scope:
            # With other wards, what was shown so far is no base: the client begins anew.
            return EPOCH_CHANGED._replace(reason="scope_changed")
        client.viewer = found
        if asked:
            client.session.notify("info", AUTHENTICATED)
            client.wake()
    return UNAVAILABLE


async def _is_asked(client: Client, wait_s: float) -> bool:
    try:
        async with asyncio.timeout(wait_s):
            await client.asked.wait()
    except TimeoutError:
        return False
    client.asked.clear()
    return True


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


async def first_ends_all(*parts: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `parts` together; when one returns, cancel the others and return. An error of one is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part()) for part in parts]
            for task in tasks:
                task.add_done_callback(lambda done: [other.cancel() for other in tasks if other is not done])
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from None
        raise
