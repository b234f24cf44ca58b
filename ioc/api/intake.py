"""How much one place may send to citizens' routes, and the work that more than a little costs.

A person reports a few things a day; a script thousands. Up to `free` reports an hour are simply taken; from
then on each costs a proof of work: a number whose SHA-256 together with our seed begins with `bits` zero
bits, about a second of a phone's time. Beyond `most` an hour nothing is taken.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Final

import msgspec

from ioc.ingest.allowance import Allowances
from ioc.model.addresses import place_of
from ioc.model.times import SECOND_US

SEED_AGE_S: Final = 600
MAX_USED: Final = 50_000
"""Seeds remembered as used; older ones have expired long before."""


class IntakeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Per address: reports an hour, and looks (duplicates, following, votes) a minute.

    `partner` are the reports that one token of a partner may send in a minute.
    """

    free: int = 5
    most: int = 30
    looks: int = 60
    bits: int = 16
    partner: int = 60


class Challenge(msgspec.Struct, frozen=True):
    """Find `nonce` so that SHA-256 of `seed:nonce` begins with `bits` zero bits."""

    seed: str
    bits: int


class WorkNeeded(Exception):
    """The same request is taken with a solution of `challenge`."""

    def __init__(self, challenge: Challenge) -> None:
        super().__init__("this needs a proof of work")
        self.challenge = challenge


class TooMuch(Exception):
    """Nothing more is taken from this place for `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many requests; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Intake:
    """Limits by address, with the time as an argument."""

    def __init__(self, limits: IntakeLimits, key: bytes) -> None:
        """Sign seeds with `key`, random bytes of this installation."""
        self.limits = limits
        self._key = key
        self._free = Allowances(limits.free / 3600, limits.free)
        self._most = Allowances(limits.most / 3600, limits.most)
        self._looks = Allowances(limits.looks / 60, limits.looks)
        self._partners = Allowances(limits.partner / 60, limits.partner)
        self._used: OrderedDict[str, None] = OrderedDict()

    def partner(self, token_id: str, now_us: int) -> None:
        """Count a report of a partner, who answers for their own users. Raises `TooMuch`."""
        if wait_s := self._partners.take(token_id, 1, now_us):
            raise TooMuch(int(wait_s) + 1)

    def look(self, address: str, now_us: int) -> None:
        """Count a look. Raises `TooMuch`."""
        if wait_s := self._looks.take(place_of(address), 1, now_us):
            raise TooMuch(int(wait_s) + 1)

    def report(self, address: str, now_us: int, solution: str | None = None) -> None:
        """Count a report; `solution` is `seed:nonce`. Raises `WorkNeeded`, `TooMuch`."""
        place = place_of(address)
        if self._free.take(place, 1, now_us) and not self._solved(solution, now_us):
            raise WorkNeeded(self.challenge(now_us))
        if wait_s := self._most.take(place, 1, now_us):
            raise TooMuch(int(wait_s) + 1)

    def challenge(self, now_us: int) -> Challenge:
        """Return a new task, which expires."""
        stamp = f"{now_us:x}-{secrets.token_hex(4)}"
        return Challenge(f"{stamp}.{self._sign(stamp)}", self.limits.bits)

    def _solved(self, solution: str | None, now_us: int) -> bool:
        seed, _, nonce = (solution or "").partition(":")
        stamp, _, signature = seed.partition(".")
        if not nonce or not hmac.compare_digest(signature.encode(), self._sign(stamp).encode()):
            return False
        if not 0 <= now_us - int(stamp.partition("-")[0], 16) <= SEED_AGE_S * SECOND_US or seed in self._used:
            return False
        digest = int.from_bytes(hashlib.sha256(f"{seed}:{nonce}".encode()).digest(), "big")
        if digest >> (256 - self.limits.bits):
            return False
        self._used[seed] = None
        if len(self._used) > MAX_USED:
            self._used.popitem(last=False)
        return True

    def _sign(self, stamp: str) -> str:
        return hmac.new(self._key, stamp.encode(), hashlib.sha256).hexdigest()[:32]
