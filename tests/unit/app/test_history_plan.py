"""The parts of the history plan fit together, or the plan is refused."""

import pytest

from ioc.app.core import history_plan
from ioc.app.settings import SettingsError, load_settings
from ioc.ingest.limits import IngestLimits
from ioc.store.history_plan import (
    DAY_S,
    HOUR_S,
    MAX_AHEAD_S,
    MAX_LATE_S,
    HistoryPlan,
    RetentionError,
    check_retention,
    chunk_width_s,
)


def test_the_defaults_fit() -> None:
    check_retention(history_plan(load_settings()))
    check_retention(HistoryPlan())


def test_store_and_ingest_agree_on_how_late_an_event_may_be() -> None:
    assert IngestLimits().max_age_us == MAX_LATE_S * 1e6
    assert IngestLimits().max_ahead_us == MAX_AHEAD_S * 1e6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"traffic_s": 15 * DAY_S}, "traffic history is kept for 15 days, which must be more than 15"),
        ({"camera_s": 3 * DAY_S}, "camera history is kept for 3 days"),
        ({"log_retention_s": 30 * DAY_S}, "wait 30 days in the log"),
        ({"aggregates_s": 90 * DAY_S}, "raise store.aggregate_retention_s"),
    ],
)
def test_retention_that_outruns_the_aggregates_is_refused_with_the_setting_to_change(
    changes: dict[str, float], words: str
) -> None:
    with pytest.raises(RetentionError, match=words):
        check_retention(HistoryPlan(**changes))


def test_the_least_retention_follows_from_the_log() -> None:
    check_retention(HistoryPlan(traffic_s=15.01 * DAY_S))
    check_retention(HistoryPlan(traffic_s=9.01 * DAY_S, camera_s=9.01 * DAY_S, log_retention_s=DAY_S))


@pytest.mark.parametrize(
    ("events_per_s", "memory_mb", "hours"),
    [(50, 4096, 24), (500, 4096, 3), (500, 32_768, 24), (5_000, 16_384, 1), (1e9, 1, 1)],
)
def test_a_chunks_indexes_fit_into_a_quarter_of_the_memory(
    events_per_s: float, memory_mb: float, hours: float
) -> None:
    assert chunk_width_s(events_per_s, memory_mb) == hours * HOUR_S


def test_compressing_before_events_can_be_late_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"store\.compress_after_s"):
        load_settings(store={"compress_after_s": 7 * 86_400})


@pytest.mark.parametrize("given", ["admin_dsn", "app_dsn"])
def test_one_connection_string_without_the_other_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="expected admin_dsn and app_dsn, or neither"):
        load_settings(database={given: "host=db"})
