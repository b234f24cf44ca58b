"""Metrics of the log over Kafka. Labels are bounded: groups and topics are our words."""

from typing import Final

from prometheus_client import Counter, Gauge

lag: Final = Gauge(
    "ioc_log_lag_records", "Records a consumer has yet to take", ["group", "topic", "partition"]
)
rebalances: Final = Counter("ioc_log_rebalances_total", "Assignments received from the group", ["group"])
rebuilds: Final = Counter(
    "ioc_log_consumer_rebuilds_total",
    "Consumers rebuilt because they got nothing though there was some",
    ["group"],
)
lost: Final = Counter(
    "ioc_log_lost_records_total", "Records that retention deleted before they were read", ["group"]
)
void: Final = Counter(
    "ioc_log_void_records_total", "Records passed over because their append failed or is not ours", ["topic"]
)
failed_appends: Final = Counter(
    "ioc_log_append_failures_total", "Writes to Kafka whose outcome was a failure"
)
