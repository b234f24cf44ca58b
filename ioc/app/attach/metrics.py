"""Metrics of attached streams. Labels are our own words; how one device fares is in the database."""

from typing import Final

from prometheus_client import Counter, Gauge

streams: Final = Gauge("ioc_attach_streams", "Streams that this process holds, by state", ["kind", "state"])
unheld: Final = Gauge(
    "ioc_attach_unheld_streams", "Streams that no process holds, since all hold attach.max_streams already"
)
connects: Final = Counter("ioc_attach_connects_total", "Times a camera was connected to", ["kind"])
cuts: Final = Counter(
    "ioc_attach_cuts_total",
    "Times a stream ended or could not be had, by reason; what a camera tells meanwhile is lost",
    ["kind", "reason"],
)
parts: Final = Counter(
    "ioc_attach_parts_total",
    "Parts: taken (in log or quarantine), picture (not kept), too_large or malformed (passed over)",
    ["kind", "result"],
)
