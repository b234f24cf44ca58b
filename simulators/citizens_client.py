"""Citizens at the service's public counter: they report, follow and vote, by the interface of the pages."""

import asyncio
import hashlib
import random
import sys
import time
from collections import deque
from collections.abc import Awaitable
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from simulators.citizens import Words, verdict_of, wait_s, words_of
from simulators.fleet import Fleet
from simulators.picture import draw
from simulators.senders import ANSWER_S
from simulators.world import World

ROUND_S: Final = 10.0
MAX_FOLLOWED: Final = 60
"""Codes that are followed, the latest; one is looked at in each round."""
MAX_BITS: Final = 24
"""Of work that a citizen's device would do."""
_BACKOFF_S: Final = (2.0, 120.0)
_OWN_PAGE: Final = {"X-IOC": "1"}
_LATER: Final = frozenset({408, 425, 428, 429, 500, 502, 503, 504, 507})
"""Answers after which the same may be taken."""
_LOCAL: Final = "127.0.0.1"
_OWN_ADDRESS: Final = "127.0.0.2"


class Said(msgspec.Struct):
    """What citizens have said."""

    reports: int = 0
    photos: int = 0
    votes: int = 0
    refused: int = 0


class _Receipt(msgspec.Struct, frozen=True):
    id: str
    code: str


class _Followed(msgspec.Struct, frozen=True):
    may_vote: bool


class _Challenge(msgspec.Struct, frozen=True):
    seed: str
    bits: int


class _WorkNeeded(msgspec.Struct, frozen=True):
    challenge: _Challenge


class _Candidate(msgspec.Struct, frozen=True):
    id: str


class _Candidates(msgspec.Struct, frozen=True):
    items: list[_Candidate]


class _Sent(msgspec.Struct, frozen=True):
    ref: str


class _TryLaterError(Exception):
    """The service did not do what was asked; it may later, not before `after_s`."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


class _RefusedError(Exception):
    """The service will never take this."""


class CitizensClient:
    """Citizens of one run. `trouble` says what keeps them from being heard, None while they are."""

    def __init__(self, fleet: Fleet, world: World, url: str, seed: int, round_s: float = ROUND_S) -> None:
        """Let citizens of `fleet` speak at `url`; their photos show what `world` looks like."""
        self.said = Said()
        self.trouble: str | None = None
        self._fleet, self._world, self._seed = fleet, world, seed
        self._public = f"{url.rstrip('/')}/api/v1/public"
        self._round_s = round_s
        self._run = f"{seed}-{time.time_ns():x}"
        self._number = 0
        self._unanswered: dict[str, object] | None = None
        self._codes: deque[_Receipt] = deque(maxlen=MAX_FOLLOWED)
        self._failures = 0

    async def run(self) -> None:
        """Speak until cancelled."""
        own = _OWN_ADDRESS if _has_own_address(self._public) else None
        transport = httpx.AsyncHTTPTransport(local_address=own)
        async with httpx.AsyncClient(
            timeout=ANSWER_S, trust_env=False, headers=_OWN_PAGE, transport=transport
        ) as client:
            due_s = time.monotonic() + wait_s(self._seed, 0)
            while True:
                await asyncio.sleep(min(self._round_s, max(0.0, due_s - time.monotonic())))
                if time.monotonic() >= due_s:
                    again_s = await self._attempt(self._report(client))
                    due_s = time.monotonic() + (again_s or wait_s(self._seed, self._number))
                else:
                    await self._attempt(self._follow(client))

    async def _attempt(self, work: Awaitable[None]) -> float | None:
        """Do `work`; return after how many seconds to try again, None where it is done or never will be."""
        least_s = 0.0
        try:
            await work
        except _RefusedError as problem:
            self.trouble, self.said.refused = f"citizens: {problem}", self.said.refused + 1
            return None
        except _TryLaterError as problem:
            self.trouble, least_s = f"citizens: {problem}", problem.after_s
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError) as problem:
            self.trouble = f"citizens: {type(problem).__name__}: {problem}"
        else:
            self.trouble, self._failures = None, 0
            return None
        self._failures += 1
        first_s, most_s = _BACKOFF_S
        return max(least_s, min(most_s, first_s * 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1.0))

    async def _report(self, client: httpx.AsyncClient) -> None:
        """Send the next report; an attempt whose answer was lost is repeated word for word."""
        if self._unanswered is None:
            self._unanswered = await self._body(client)
        body = self._unanswered
        answer = await client.post(f"{self._public}/reports", json=body)
        if answer.status_code == 428:
            challenge = msgspec.json.decode(answer.content, type=_WorkNeeded).challenge
            solution = await asyncio.to_thread(solve, challenge.seed, challenge.bits)
            answer = await client.post(f"{self._public}/reports", json=body | {"solution": solution})
        if answer.status_code not in _LATER:
            self._unanswered = None
            self._number += 1
        self._codes.append(msgspec.json.decode(_checked(answer, 201), type=_Receipt))
        self.said.reports += 1

    async def _body(self, client: httpx.AsyncClient) -> dict[str, object]:
        words = words_of(self._seed, self._number, self._fleet)
        return {
            "service": words.service,
            "text": words.text,
            "lon": words.lon,
            "lat": words.lat,
            "contact": words.contact,
            "idem": f"simulated-{self._run}-{self._number}",
            "joins": await self._known(client, words) if words.joins else None,
            "photos": await self._photos(client, words),
        }

    async def _known(self, client: httpx.AsyncClient, words: Words) -> str | None:
        """Return the report that is likeliest the same thing, as the page offers it."""
        question = {"service": words.service, "text": words.text, "lon": words.lon, "lat": words.lat}
        answer = await client.post(f"{self._public}/duplicates", json=question)
        found = msgspec.json.decode(_checked(answer, 200), type=_Candidates).items
        return found[0].id if found else None

    async def _photos(self, client: httpx.AsyncClient, words: Words) -> list[str]:
        if words.camera is None:
            return []
        view = self._world.view(words.camera, time.time_ns() // 1000)
        picture = await asyncio.to_thread(draw, view)
        answer = await client.post(
            f"{self._public}/photos", content=picture, headers={"Content-Type": "image/jpeg"}
        )
        if answer.status_code in (429, 503, 507):
            # A report is worth sending without its photo too.
            return []
        self.said.photos += 1
        return [msgspec.json.decode(_checked(answer, 201), type=_Sent).ref]

    async def _follow(self, client: httpx.AsyncClient) -> None:
        """Look at one report; whoever may judge the result does, and is done with it."""
        if not self._codes:
            return
        receipt = self._codes[0]
        self._codes.rotate(-1)
        address = f"{self._public}/reports/{receipt.code}"
        followed = msgspec.json.decode(_checked(await client.get(address), 200), type=_Followed)
        if followed.may_vote:
            satisfied, text = verdict_of(self._seed, receipt.id)
            vote = {"satisfied": satisfied, "text": text}
            _checked(await client.post(f"{address}/vote", json=vote), 200)
            self.said.votes += 1
            self._codes.remove(receipt)


def solve(seed: str, bits: int) -> str:
    """Return `seed:nonce` whose SHA-256 begins with `bits` zero bits; about 2 ** bits hashes of work.

    Raises:
        _RefusedError: more work is asked for than a citizen's device would do.
    """
    if bits > MAX_BITS:
        raise _RefusedError(f"{bits} bits of work")
    nonce = 0
    while int.from_bytes(hashlib.sha256(f"{seed}:{nonce}".encode()).digest()[:8], "big") >> (64 - bits):
        nonce += 1
    return f"{seed}:{nonce}"


def _has_own_address(url: str) -> bool:
    """Tell whether citizens can come from an address that nobody who tries the page shares with them.

    What one address may send is bounded; on Linux all of 127.0.0.0/8 is this machine.
    """
    return sys.platform == "linux" and urlsplit(url).hostname == _LOCAL


def _checked(answer: httpx.Response, expected: int) -> bytes:
    if answer.status_code == expected:
        return answer.content
    # The code of a report stands in no line of ours either.
    what = f"HTTP {answer.status_code} from {'/'.join(answer.request.url.path.split('/')[:5])}"
    if answer.status_code not in _LATER:
        raise _RefusedError(what)
    after = answer.headers.get("Retry-After", "")
    raise _TryLaterError(what, float(after) if after.isdigit() else 0.0)
