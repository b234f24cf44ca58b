"""Metrics of the spill. Gauges tell what the database holds: every ingest process tells the same."""

from typing import Final

from prometheus_client import Counter, Gauge

records: Final = Gauge("ioc_log_spill_records", "Acknowledged records that wait in PostgreSQL for Kafka")
size_bytes: Final = Gauge("ioc_log_spill_bytes", "Bytes of acknowledged records that wait for Kafka")
limit_records: Final = Gauge("ioc_log_spill_limit_records", "Records that may wait (log.spill_records)")
limit_bytes: Final = Gauge("ioc_log_spill_limit_bytes", "Bytes that may wait (log.spill_bytes)")
oldest_seconds: Final = Gauge(
    "ioc_log_spill_oldest_seconds", "How long the oldest record has waited for Kafka; 0 where none waits"
)
spilled: Final = Counter(
    "ioc_log_spilled_records_total", "Records spilled because Kafka did not take them, or behind such records"
)
drained: Final = Counter("ioc_log_spill_drained_records_total", "Spilled records carried into Kafka")
refused: Final = Counter("ioc_log_spill_refused_records_total", "Records refused because the spill is full")
failures: Final = Counter(
    "ioc_log_spill_drain_failures_total", "Attempts to carry spilled records that Kafka did not take"
)
