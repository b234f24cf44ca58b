"""How long what was resolved is watched by what raised it: the policy `proof`."""

from typing import Annotated, Final

from msgspec import Meta

from ioc.incidents.policy_shapes import Code, PolicyError, Shape, Span, check_elapsed, length_of
from ioc.model.times import DAY_US

MAX_WATCHES: Final = 500
MAX_RETURN_US: Final = 30 * DAY_US


class Watch(Shape, frozen=True, kw_only=True):
    """One row, for incidents of a rule or a category; what is left out stands for every one.

    An incident that still goes on `persists` after it was resolved, or that comes back within `returns` of
    it, is opened again. `0s` says never.
    """

    rule: Code | None = None
    category: Code | None = None
    persists: Span | None = None
    returns: Span | None = None


class ProofPolicy(Shape, frozen=True, kw_only=True, omit_defaults=False):
    """The most particular of `rows` that states a time decides: a rule before a category before every one.

    Shipped are conditions that last and that something measures. A wrong-way driver who is gone proves
    nothing about the next one, and citizens tell by themselves whether what they reported is done.
    """

    enabled: bool = True
    rows: Annotated[tuple[Watch, ...], Meta(max_length=MAX_WATCHES)] = (
        Watch(category="flood", persists="1h", returns="6h"),
        Watch(category="fire", persists="15m", returns="2h"),
        Watch(category="equipment", persists="1h", returns="24h"),
        Watch(rule="congestion", persists="1h"),
        Watch(rule="stopped-vehicle", persists="30m", returns="30m"),
    )


def check_proof(policy: ProofPolicy) -> None:
    """Raise PolicyError for a time that cannot be."""
    for n, row in enumerate(policy.rows):
        for field in ("persists", "returns"):
            check_elapsed(f"rows[{n}].{field}", getattr(row, field))
        if row.returns and length_of(row.returns).us > MAX_RETURN_US:
            raise PolicyError(f"rows[{n}].returns", "bound", "expected at most 30d")
