"""What the parts of the service say about where time goes; without a tracer nothing of it costs anything.

An event carries the context of its trace through the log (`Event.trace`). An incident has a trace of its own,
whose id anybody can compute from the incident's, so that processes which only meet in the database write into
the same one; the span that raises an incident links both.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

Value = str | int | float | bool


class Tracer(Protocol):
    """Writes spans."""

    @property
    def on(self) -> bool:
        """Whether anybody listens."""

    def current(self) -> str:
        """Return the context (W3C `traceparent`) that work begun now would have; "" where none is sampled."""

    def span(
        self,
        name: str,
        *,
        parent: str | None = None,
        incident: str | None = None,
        values: dict[str, Value] | None = None,
    ) -> AbstractContextManager[None]:
        """Return what measures a piece of work; an exception that leaves it is noted.

        Args:
            name: what is done, of few different ones.
            parent: the context it belongs to, a `traceparent`; None: the current one.
            incident: id of an incident, with `parent` linked, without it the trace written to.
            values: attributes; never personal data.
        """


class NoTracer:
    """The default."""

    on = False

    def current(self) -> str:
        """Return that there is none."""
        return ""

    def span(self, name: str, **about: object) -> AbstractContextManager[None]:
        """Return what measures nothing."""
        return nullcontext()


NO_TRACER: Final = NoTracer()
