"""OpenTelemetry, where it is installed and switched on (`tracing.endpoint`); nobody waits for it.

Spans wait in a bounded queue and leave by OTLP over HTTP from a thread of its own. A collector that is slow
or gone costs spans, which are counted, and nothing else.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ioc import __version__
from ioc.app.settings.sections import TracingSettings
from ioc.model.tracing import NO_TRACER, Tracer, Value

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Link, SpanContext

_log = structlog.get_logger()
_spans = Counter(
    "ioc_trace_spans_total",
    "Spans by what became of them: ended, exported, failed; ended less the others wait or were dropped",
    ["outcome"],
)


class TracingUnavailableError(Exception):
    """Tracing is switched on and its packages are not installed."""


class _Counted:
    """An exporter that counts."""

    def __init__(self, exporter: "SpanExporter") -> None:
        self._exporter = exporter

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        result = self._exporter.export(spans)
        _spans.labels("exported" if result.name == "SUCCESS" else "failed").inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class OtelTracer:
    """A `Tracer` over the OpenTelemetry SDK."""

    on = True

    def __init__(self, settings: TracingSettings) -> None:
        """Begin to send.

        Raises:
            TracingUnavailableError: the packages are not installed.
        """
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
        except ImportError as error:
            detail = (
                f"tracing.endpoint is set and {error.name} is not installed: install requirements/otel.lock"
            )
            raise TracingUnavailableError(detail) from error
        self._trace = trace
        self._propagate = propagate
        resource = Resource.create({"service.name": settings.service_name, "service.version": __version__})
        # By the trace's id alone: every process decides alike, also about traces that somebody else began.
        self._provider = TracerProvider(
            resource=resource, sampler=TraceIdRatioBased(settings.sample_ratio), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=settings.timeout_s)
        self._provider.add_span_processor(
            BatchSpanProcessor(_Counted(exporter), max_queue_size=settings.queue_spans)  # type: ignore[arg-type]
        )
        self._tracer = self._provider.get_tracer("ioc", __version__)

    def current(self) -> str:
        """Return the current context; see `Tracer`."""
        context = self._trace.get_current_span().get_span_context()
        return _text_of(context) if context.is_valid and context.trace_flags.sampled else ""

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: str | None = None,
        incident: str | None = None,
        values: dict[str, Value] | None = None,
    ) -> Iterator[None]:
        """Measure a piece of work; see `Tracer`."""
        own = self._incident(incident) if incident else None
        links = [self._link(own)] if own is not None and parent is not None else []
        context = self._read(parent) if parent is not None else own
        with self._tracer.start_as_current_span(
            name, context=context, links=links, attributes=values
        ) as span:
            try:
                yield
            finally:
                if span.is_recording():
                    _spans.labels("ended").inc()

    def close(self) -> None:
        """Send what waits, as long as the time limit of one request lasts."""
        self._provider.shutdown()

    def _read(self, traceparent: str) -> "Context":
        return self._propagate.extract({"traceparent": traceparent})

    def _incident(self, incident: str) -> "Context":
        digest = hashlib.blake2b(incident.encode(), digest_size=24).hexdigest()
        return self._read(f"00-{digest[:32]}-{digest[32:]}-01")

    def _link(self, context: "Context") -> "Link":
        return self._trace.Link(self._trace.get_current_span(context).get_span_context())


def _text_of(context: "SpanContext") -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def open_tracer(settings: TracingSettings) -> tuple[Tracer, Callable[[], None]]:
    """Return the tracer that the settings ask for, and how to end it.

    Raises:
        TracingUnavailableError: it is asked for and not installed.
    """
    if not settings.endpoint:
        return NO_TRACER, lambda: None
    tracer = OtelTracer(settings)
    _log.info("tracing", endpoint=settings.endpoint, sample_ratio=settings.sample_ratio)
    return tracer, tracer.close


def trace_ids(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the ids of the current trace and span to a log entry."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        entry["trace_id"], entry["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return entry


class TracedRequests:
    """Writes a span for every HTTP request, into the trace that the caller names by `traceparent`.

    The span is called by the route, never by the address, whose query may hold what is nobody's business.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and measure it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        parent = headers.get(b"traceparent", b"").decode("ascii", "replace")
        with self._tracer.span(f"HTTP {scope['method']}", parent=parent):
            status = 500

            async def send_noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await self._app(scope, receive, send_noting)
            finally:
                _describe(scope, status)


def _describe(scope: Scope, status: int) -> None:
    from opentelemetry import trace

    span = trace.get_current_span()
    route = getattr(scope.get("route"), "path", "")
    values: dict[str, Any] = {"http.request.method": scope["method"], "http.response.status_code": status}
    if route:
        span.update_name(f"{scope['method']} {route}")
        values["http.route"] = route
    if incident := scope.get("path_params", {}).get("incident_id"):
        values["ioc.incident.id"] = incident
    span.set_attributes(values)
