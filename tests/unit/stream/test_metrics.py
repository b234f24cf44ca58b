"""What consoles report becomes figures, unless it cannot be true."""

import pytest
from prometheus_client import CollectorRegistry

from ioc.stream.metrics import FeedMetrics
from ioc.stream.wire import Delays


def test_a_report_counts_its_changes_and_both_its_delays() -> None:
    figures = CollectorRegistry()
    FeedMetrics(figures).measured(Delays(80, 1_700, 12))
    assert figures.get_sample_value("ioc_feed_screen_changes_total") == 12
    for share, seconds in (("0.5", 0.08), ("0.99", 1.7)):
        found = figures.get_sample_value("ioc_feed_screen_delay_seconds_sum", {"share": share})
        assert found == pytest.approx(seconds)
    assert figures.get_sample_value("ioc_feed_screen_absurd_total") == 0


@pytest.mark.parametrize(
    ("p50_ms", "p99_ms", "count"),
    [(-1, 5, 1), (6, 5, 1), (5, 3_600_001, 1), (5, 5, 0), (5, 5, -3), (5, 5, 1_000_001)],
)
def test_what_cannot_be_true_is_ignored_and_counted(p50_ms: float, p99_ms: float, count: int) -> None:
    figures = CollectorRegistry()
    FeedMetrics(figures).measured(Delays(p50_ms, p99_ms, count))
    assert figures.get_sample_value("ioc_feed_screen_absurd_total") == 1
    assert figures.get_sample_value("ioc_feed_screen_changes_total") == 0
    assert figures.get_sample_value("ioc_feed_screen_delay_seconds_count", {"share": "0.5"}) is None
