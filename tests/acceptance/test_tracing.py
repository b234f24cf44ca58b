"""One trace leads from what a device sent to the incident, and on to what people did and saw."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import run

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.service import Service
from tests.acceptance.test_survival import event, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CALLER}-01"
SECRET = "lkjhgfdsa"


class Collector:
    """An OTLP/HTTP receiver that keeps what it is sent, or refuses everything."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        self.refusing = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    raise AssertionError("asked for nothing of the kind")
                if not outer.refusing:
                    outer.take(body)
                self.send_response(503 if outer.refusing else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.raw += body
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str, trace: str | None = None) -> list[Span]:
        return [
            span
            for span in list(self.spans)
            if span.name == name and (trace is None or span.trace_id.hex() == trace)
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture
def traced(tmp_path: Path, collector: Collector) -> Iterator[Service]:
    environment = {
        "IOC_TRACING__ENDPOINT": collector.url,
        "IOC_LOG_LEVEL": "info",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    service = Service(tmp_path / "var", environment)
    service.start()
    yield service
    service.stop()


def send(service: Service, number: int, **headers: str) -> None:
    body = event(number, "cam-25747-02", "camera.alarm", {"kind": "wrong_way", "confidence": 0.9})
    if own := headers.pop("own", None):
        body = body.replace(b'"specversion"', f'"traceparent": "{own}", "specversion"'.encode(), 1)
    key = service.device_key("gw-25747")
    answer = httpx.post(
        f"{service.url}/api/v1/ingest/events?token={SECRET}",
        content=body,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers},
    )
    assert answer.json()["accepted"] == 1, answer.text


@pytest.mark.slow
def test_an_event_sent_with_a_trace_is_followed_to_its_incident_and_what_became_of_it(
    traced: Service, collector: Collector
) -> None:
    send(traced, 1, traceparent=PARENT)
    wait_until(lambda: collector.named("raise", TRACE), 60)
    (intake,) = collector.named("POST /api/v1/ingest/events", TRACE)
    (ingest,) = collector.named("ingest", TRACE)
    (append,) = collector.named("append", TRACE)
    (raised,) = collector.named("raise", TRACE)
    assert intake.parent_span_id.hex() == CALLER
    assert ingest.parent_span_id == intake.span_id
    assert append.parent_span_id == ingest.span_id
    assert raised.parent_span_id == ingest.span_id

    headers = traced.login()
    path = f"{traced.url}/api/v1/incidents"
    (incident,) = httpx.get(path, headers=headers).json()["items"]
    (link,) = raised.links
    (told,) = {
        attribute.value.string_value for attribute in raised.attributes if attribute.key == "ioc.incident.id"
    }
    assert told == incident["id"]
    wait_until(lambda: collector.named("feed", link.trace_id.hex()), 60)

    command = {"op": "acknowledge", "expect_rev": incident["rev"], "idem": "command-1", "args": {}}
    assert httpx.post(f"{path}/{incident['id']}/commands", json=command, headers=headers).status_code == 200
    wait_until(lambda: collector.named("POST /api/v1/incidents/{incident_id}/commands"), 60)
    wait_until(lambda: len(collector.named("feed", link.trace_id.hex())) >= 2, 60)
    assert SECRET.encode() not in collector.raw, "addresses may hold what is nobody's business"

    lines = [
        json.loads(line) for line in traced.output.read_text("utf-8").splitlines() if line.startswith("{")
    ]
    assert TRACE in {line.get("trace_id") for line in lines}


@pytest.mark.slow
def test_an_event_that_brings_its_own_trace_goes_on_in_it(traced: Service, collector: Collector) -> None:
    own = TRACE[::-1]
    send(traced, 2, own=f"00-{own}-{CALLER}-01", traceparent=PARENT)
    wait_until(lambda: collector.named("raise", own), 60)
    assert collector.named("raise", own)[0].parent_span_id.hex() == CALLER


@pytest.mark.slow
def test_a_collector_that_refuses_costs_spans_and_nothing_else(traced: Service, collector: Collector) -> None:
    collector.refusing = True
    send(traced, 3)
    headers = traced.login()
    wait_until(lambda: httpx.get(f"{traced.url}/api/v1/incidents", headers=headers).json()["items"], 60)

    def failed() -> bool:
        figures = httpx.get(f"{traced.url}/metrics").text
        return any(
            float(line.rpartition(" ")[2]) > 0
            for line in figures.splitlines()
            if line.startswith('ioc_trace_spans_total{outcome="failed"}')
        )

    collector.close()
    wait_until(failed, 90)
    assert traced.stop() == 0


def test_nothing_of_it_is_loaded_where_it_is_off() -> None:
    script = (
        "import sys, ioc.app.pipeline, ioc.app.cli.main\n"
        "from ioc.app.settings.sections import TracingSettings\n"
        "from ioc.app.tracing import open_tracer\n"
        "assert not open_tracer(TracingSettings())[0].on\n"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert run([sys.executable, "-c", script], check=False).returncode == 0
