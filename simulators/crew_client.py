"""The duty crew at the service's console API: looks every few seconds, acts, never brings the city down."""

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping
from typing import Final

import httpx
import msgspec

from simulators.crew import ITSELF as USER
from simulators.crew import Case, Crew, Order
from simulators.senders import ANSWER_S, KeysError

ROUND_S: Final = 5.0
PAGE: Final = 200
MAX_PAGES: Final = 5
_BACKOFF_S: Final = (1.0, 60.0)
_FAREWELL_S: Final = 0.4
_OWN_PAGE: Final = {"X-IOC": "1"}


class _Page(msgspec.Struct, frozen=True):
    items: list[Case]
    next: str | None = None


class _Conflict(msgspec.Struct, frozen=True):
    current: Case | None = None


class _TryLaterError(Exception):
    """The service did not do what was asked; it may later, not before `after_s`."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


def password_of(logins: Mapping[str, str]) -> str:
    """Return the crew's password.

    Raises:
        KeysError: the logins have none for the crew's user.
    """
    if USER not in logins:
        raise KeysError(f"the logins file has no password for {USER}")
    return logins[USER]


class CrewClient:
    """One logged-in crew. `trouble` says what keeps it from working, None while it works."""

    def __init__(self, crew: Crew, url: str, password: str, round_s: float = ROUND_S) -> None:
        """Let `crew` work at `url`, a round each `round_s` seconds."""
        self.crew = crew
        self.trouble: str | None = None
        self._url = url.rstrip("/")
        self._password = password
        self._round_s = round_s
        self._logged_in = False
        self._failures = 0

    async def run(self) -> None:
        """Work until cancelled; then log out."""
        # A client of its own: the session's cookie is nothing for the devices' requests.
        async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False, headers=_OWN_PAGE) as client:
            try:
                while True:
                    wait_s = await self._round(client)
                    await asyncio.sleep(wait_s)
            finally:
                await self._log_out(client)

    async def _round(self, client: httpx.AsyncClient) -> float:
        """Look and act once, and return how long to wait (seconds)."""
        least_s = 0.0
        try:
            if not self._logged_in:
                await self._log_in(client)
            cases = await self._open_cases(client)
            for order in self.crew.orders(cases, time.time_ns() // 1000):
                await self._send(client, order)
        except _TryLaterError as problem:
            self.trouble, least_s = f"crew: {problem}", problem.after_s
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError, ValueError) as problem:
            self.trouble = f"crew: {type(problem).__name__}: {problem}"
        else:
            self.trouble, self._failures = None, 0
            return self._round_s
        first_s, most_s = _BACKOFF_S
        self._failures += 1
        wait_s = first_s * 2.0 ** min(self._failures, 10) * random.uniform(0.5, 1.0)
        return min(most_s, max(least_s, wait_s))

    async def _log_in(self, client: httpx.AsyncClient) -> None:
        client.cookies.clear()
        body = {"username": USER, "password": self._password}
        _checked(await client.post(f"{self._url}/api/v1/session", json=body))
        self._logged_in = True

    async def _log_out(self, client: httpx.AsyncClient) -> None:
        if self._logged_in:
            with contextlib.suppress(httpx.HTTPError):
                await client.delete(f"{self._url}/api/v1/session", timeout=_FAREWELL_S)

    async def _open_cases(self, client: httpx.AsyncClient) -> list[Case]:
        cases: dict[str, Case] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            query = {"state": "open", "limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
            answer = self._checked(await client.get(f"{self._url}/api/v1/incidents", params=query))
            page = msgspec.json.decode(answer.content, type=_Page)
            cases |= {case.id: case for case in page.items}
            cursor = page.next
            if not cursor:
                break
        return list(cases.values())

    async def _send(self, client: httpx.AsyncClient, order: Order) -> None:
        given = {
            "assignee": order.assignee,
            "note": order.note,
            "step": order.step,
            "answer": order.answer,
        }
        body = {
            "op": order.op,
            "expect_rev": order.expect_rev,
            "idem": order.idem,
            "args": {name: value for name, value in given.items() if value is not None},
        }
        address = f"{self._url}/api/v1/incidents/{order.incident}/commands"
        answer = await client.post(address, json=body)
        if answer.status_code == 409:
            self.crew.conflicted(order, msgspec.json.decode(answer.content, type=_Conflict).current)
        elif answer.status_code in (400, 403, 404, 413, 422):
            self.crew.refused(order)
        else:
            self._checked(answer)
            self.crew.done(order, msgspec.json.decode(answer.content, type=Case))

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code == 401:
            self._logged_in = False
        return _checked(answer)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code == 200:
        return answer
    after = answer.headers.get("Retry-After", "")
    path = answer.request.url.path
    raise _TryLaterError(f"HTTP {answer.status_code} from {path}", float(after) if after.isdigit() else 0.0)
