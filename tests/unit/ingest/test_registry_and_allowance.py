"""Who a key belongs to, and how much a device may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.ingest.allowance import Allowances
from ioc.ingest.limits import IngestLimits
from ioc.ingest.registry import DeviceRegistry, RegistrySnapshot, hash_key
from tests.unit.ingest.fakes import CAMERA, DETECTOR, KEYS, NOW_US, snapshot


def test_a_key_opens_its_own_device_only() -> None:
    registry = DeviceRegistry(snapshot())
    assert registry.device_of_key(KEYS["cam-1"]) == CAMERA
    assert registry.device_of_key("wrong") is None
    assert registry.owns_key("cam-1", KEYS["cam-1"])
    assert not registry.owns_key("cam-1", KEYS["det-1"])
    assert not registry.owns_key("nobody", KEYS["cam-1"])
    assert registry.device("nobody") is None


def test_two_keys_work_while_rotating_and_a_replaced_snapshot_counts_at_once() -> None:
    both = [(hash_key("old"), "cam-1"), (hash_key("new"), "cam-1"), (hash_key("x"), "unknown")]
    registry = DeviceRegistry(RegistrySnapshot([CAMERA], both))
    assert registry.device_of_key("old") == registry.device_of_key("new") == CAMERA
    assert registry.owns_key("cam-1", "old") and registry.owns_key("cam-1", "new")
    assert registry.device_of_key("x") is None
    registry.replace(RegistrySnapshot([CAMERA, DETECTOR], both[1:]))
    assert registry.device_of_key("old") is None
    assert registry.device("det-1") == DETECTOR


def test_keys_of_any_characters_can_be_hashed() -> None:
    assert hash_key("\udcff") != hash_key("khóa")


def test_the_burst_is_taken_at_once_then_the_rate_applies() -> None:
    allowances = Allowances(rate_per_s=10.0, burst=20)
    assert allowances.take("a", 20, NOW_US) == 0.0
    assert allowances.take("a", 5, NOW_US) == pytest.approx(0.5)
    assert allowances.take("b", 20, NOW_US) == 0.0
    assert allowances.take("a", 5, NOW_US + 500_000) == 0.0


def test_a_refused_take_costs_nothing() -> None:
    allowances = Allowances(rate_per_s=10.0, burst=10)
    allowances.take("a", 10, NOW_US)
    for _ in range(100):
        assert allowances.take("a", 10, NOW_US) == pytest.approx(1.0)


def test_more_than_a_full_bucket_is_taken_when_it_is_full() -> None:
    allowances = Allowances(rate_per_s=10.0, burst=10)
    assert allowances.take("a", 1000, NOW_US) == 0.0


def test_a_debt_is_paid_by_waiting() -> None:
    allowances = Allowances(rate_per_s=10.0, burst=10)
    assert allowances.debt_s("a", NOW_US) == 0.0
    allowances.spend("a", 30, NOW_US)
    assert allowances.debt_s("a", NOW_US) == pytest.approx(2.0)
    assert allowances.debt_s("a", NOW_US + 2_000_001) == 0.0


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(-5_000_000, 5_000_000)), max_size=30))
def test_never_more_than_burst_plus_rate_whatever_the_clock_does(steps: list[tuple[int, int]]) -> None:
    allowances = Allowances(rate_per_s=10.0, burst=20)
    now_us, forward_us, taken = NOW_US, 0, 0
    for events, step_us in steps:
        now_us += step_us
        forward_us += max(0, step_us)
        if allowances.take("a", events, now_us) == 0.0:
            taken += min(events, 20)
    assert taken <= 20 + forward_us * 10 / 1e6 + 1e-6


def test_limits_that_could_never_admit_a_full_request_are_refused() -> None:
    with pytest.raises(ValueError, match="device_burst_events"):
        IngestLimits(device_burst_events=10)
