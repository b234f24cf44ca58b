"""Citizens' routes hold out against whoever sends without end, and ask little of everybody else."""

import hashlib
from itertools import count

import pytest

from ioc.api.intake import SEED_AGE_S, Challenge, Intake, IntakeLimits, TooMuch, WorkNeeded

LIMITS = IntakeLimits(free=2, most=4, looks=3, bits=8)
NOW_US = 1_780_000_000_000_000
HERE, THERE = "203.0.113.7", "2001:db8:1:2:3:4:5:6"


def solve(challenge: Challenge) -> str:
    for nonce in count():
        digest = hashlib.sha256(f"{challenge.seed}:{nonce}".encode()).digest()
        if int.from_bytes(digest, "big") >> (256 - challenge.bits) == 0:
            return f"{challenge.seed}:{nonce}"
    raise AssertionError


def asked(intake: Intake, now_us: int = NOW_US) -> Challenge:
    with pytest.raises(WorkNeeded) as refusal:
        intake.report(HERE, now_us)
    return refusal.value.challenge


@pytest.fixture
def busy() -> Intake:
    """An intake that has had as much from here as is free."""
    intake = Intake(LIMITS, b"key")
    for _ in range(LIMITS.free):
        intake.report(HERE, NOW_US)
    return intake


def test_more_than_a_few_reports_cost_work_and_each_solution_pays_for_one(busy: Intake) -> None:
    solution = solve(asked(busy))
    busy.report(HERE, NOW_US, solution)
    with pytest.raises(WorkNeeded):
        busy.report(HERE, NOW_US, solution)
    busy.report(THERE, NOW_US)


@pytest.mark.parametrize("solution", ["", ":", "x:1", "0.0:1", "zz.zz:1", f"{NOW_US:x}.forged:1"])
def test_a_made_up_solution_is_none(busy: Intake, solution: str) -> None:
    with pytest.raises(WorkNeeded):
        busy.report(HERE, NOW_US, solution)


def test_a_solution_expires_and_another_installations_is_none(busy: Intake) -> None:
    late = NOW_US + (SEED_AGE_S + 1) * 1_000_000
    solution = solve(asked(busy))
    fresh = Intake(LIMITS, b"key")
    for _ in range(LIMITS.free):
        fresh.report(HERE, late)
    with pytest.raises(WorkNeeded):
        fresh.report(HERE, late, solution)
    other = Intake(LIMITS, b"other")
    for _ in range(LIMITS.free):
        other.report(HERE, NOW_US)
    with pytest.raises(WorkNeeded):
        other.report(HERE, NOW_US, solution)


def test_beyond_the_most_nothing_is_taken_until_time_has_passed(busy: Intake) -> None:
    for _ in range(LIMITS.most - LIMITS.free):
        busy.report(HERE, NOW_US, solve(asked(busy)))
    with pytest.raises(TooMuch) as refusal:
        busy.report(HERE, NOW_US, solve(asked(busy)))
    later = NOW_US + refusal.value.retry_after_s * 1_000_000
    busy.report(HERE, later, solve(busy.challenge(later)))


def test_looks_are_counted_by_place_and_of_ipv6_by_network() -> None:
    intake = Intake(LIMITS, b"key")
    for last in range(LIMITS.looks):
        intake.look(f"2001:db8:1:2::{last}", NOW_US)
    with pytest.raises(TooMuch):
        intake.look(THERE, NOW_US)
    intake.look(HERE, NOW_US)
