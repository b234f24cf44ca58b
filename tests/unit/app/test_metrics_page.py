"""Every figure is documented, and named by Prometheus' conventions."""

import re
from pathlib import Path

import pytest

from ioc.app.pages.metrics import PAGE, Metric, known_metrics, render

SOURCE = PAGE.parents[1] / "ioc"
_MADE = re.compile(r"\b(?:[Cc]ounter|[Gg]auge|Histogram)\(\s*\"(ioc_\w+)\"")


def breaches(metric: Metric) -> list[str]:
    """Return what is wrong with a metric's name, labels and text."""
    name, found = metric.name, []
    if not re.fullmatch(r"ioc(_[a-z0-9]+)+", name):
        found.append("expected ioc_ and lower case")
    if (metric.kind == "counter") != name.endswith("_total"):
        found.append("counters and nothing else end in _total")
    if re.search(r"_(ms|us|millis|minutes|hours|kb|mb|percent)(_|$)", name):
        found.append("expected base units: seconds, bytes, ratio")
    if metric.kind == "histogram" and not name.endswith(("_seconds", "_bytes")):
        found.append("expected the unit at the end of a histogram's name")
    if "1970" in metric.meaning and not name.endswith("_timestamp_seconds"):
        found.append("expected _timestamp_seconds for a moment")
    if set(metric.labels) & {"le", "quantile", "job", "instance"}:
        found.append("labels of Prometheus itself")
    if not metric.meaning:
        found.append("expected a meaning")
    return found


def test_the_page_is_true() -> None:
    assert PAGE.read_text("utf-8") == render(), "run: python -m ioc.app.pages.metrics"


def test_every_metric_of_the_source_is_on_it() -> None:
    texts = (path.read_text("utf-8") for path in Path(SOURCE).rglob("*.py"))
    made = {name.removesuffix("_total") for text in texts for name in _MADE.findall(text)}
    assert len(made) > 40
    assert made == {metric.name.removesuffix("_total") for metric in known_metrics()}


def test_names_keep_the_conventions() -> None:
    assert {metric.name: breaches(metric) for metric in known_metrics() if breaches(metric)} == {}


@pytest.mark.parametrize(
    "metric",
    [
        Metric("ioc_events", "counter", (), "Events"),
        Metric("ioc_clients_total", "gauge", (), "Clients"),
        Metric("ioc_wait_ms", "gauge", (), "Wait"),
        Metric("ioc_wait", "histogram", (), "Wait"),
        Metric("events_total", "counter", (), "Events"),
        Metric("ioc_anchored_seconds", "gauge", (), "When, seconds since 1970"),
        Metric("ioc_events_total", "counter", ("job",), "Events"),
        Metric("ioc_events_total", "counter", (), ""),
    ],
)
def test_what_breaks_the_conventions_is_found(metric: Metric) -> None:
    assert breaches(metric)
