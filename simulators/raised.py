"""The incidents a service has raised, for the score: from its public API, or from a file of them."""

from typing import Final

import httpx
import msgspec

from simulators import SimulatorError
from simulators.score import Raised
from simulators.times import SECOND_US, format_us, parse_us

ANSWER_S: Final = 30.0
PAGE: Final = 200
MAX_PAGES: Final = 500
"""Longer histories are no scenario's; the file of an export has no such limit."""
_OWN_PAGE: Final = {"X-IOC": "1"}


class RaisedError(SimulatorError):
    """The incidents cannot be read."""


class _Incident(msgspec.Struct, frozen=True):
    rule: str
    source: str | None = None
    ward: str | None = None
    detected: str | None = None
    """RFC 3339, as the API answers."""
    detected_us: int | None = None
    """Microseconds, as `ioc export incidents` writes."""


class _Page(msgspec.Struct, frozen=True):
    items: list[_Incident]
    next: str | None = None


def parse_incidents(data: bytes, start_us: int, name: str = "incidents") -> list[Raised]:
    """Return the incidents in `data`: JSON lines of an export, a JSON array, or an answer of the API.

    Raises:
        RaisedError: something else; with the line at fault.
    """
    text = data.strip()
    try:
        if text.startswith(b"["):
            found = msgspec.json.decode(text, type=list[_Incident])
        elif b"\n" not in text and text.startswith(b"{") and b'"items"' in text:
            found = msgspec.json.decode(text, type=_Page).items
        else:
            return [_raised(_line(line), start_us) for line in text.splitlines() if line.strip()]
        return [_raised(item, start_us) for item in found]
    except (msgspec.MsgspecError, ValueError) as problem:
        raise RaisedError(
            f"{name}: {problem}; give lines of `ioc export incidents` or answers of /api/v1/incidents"
        ) from problem


def _line(line: bytes) -> _Incident:
    return msgspec.json.decode(line, type=_Incident)


def _raised(item: _Incident, start_us: int) -> Raised:
    at_us = parse_us(item.detected) if item.detected is not None else item.detected_us
    if at_us is None:
        raise ValueError(f"an incident of {item.rule} has neither detected nor detected_us")
    return Raised(item.rule, item.source, item.ward, round((at_us - start_us) / SECOND_US, 3))


async def fetch_incidents(url: str, user: str, password: str, start_us: int) -> list[Raised]:
    """Return all incidents that the service has raised since `start_us`.

    Raises:
        RaisedError: no answer, a wrong password, or more incidents than a scenario has.
    """
    base = url.rstrip("/")
    try:
        async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False, headers=_OWN_PAGE) as client:
            login = {"username": user, "password": password}
            _checked(await client.post(f"{base}/api/v1/session", json=login))
            try:
                return await _pages(client, base, start_us)
            finally:
                await client.delete(f"{base}/api/v1/session")
    except httpx.HTTPError as problem:
        raise RaisedError(f"no answer from {base}: {type(problem).__name__}; is the service up?") from problem
    except (msgspec.MsgspecError, ValueError) as problem:
        raise RaisedError(
            f"{base} does not answer as the service does ({problem}); look at --url"
        ) from problem


async def _pages(client: httpx.AsyncClient, base: str, start_us: int) -> list[Raised]:
    found: list[Raised] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        query = {"state": "all", "limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
        answer = _checked(await client.get(f"{base}/api/v1/incidents", params=query))
        page = msgspec.json.decode(answer.content, type=_Page)
        items = [_raised(item, start_us) for item in page.items]
        found += [item for item in items if item.at_s >= 0]
        cursor = page.next
        # Newest first: the rest is older still.
        if cursor is None or any(item.at_s < 0 for item in items):
            return found
    raise RaisedError(
        f"more than {PAGE * MAX_PAGES:,} incidents since {format_us(start_us)}; score `ioc export incidents`"
    )


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code != 200:
        hint = "; look at the logins file" if answer.status_code == 401 else ""
        raise RaisedError(f"HTTP {answer.status_code} from {answer.request.url.path}{hint}")
    return answer
