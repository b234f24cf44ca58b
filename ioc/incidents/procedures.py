"""Procedures: the checklist that fits an incident, and how far somebody has come with one. Pure.

A checklist is fixed when its incident is raised: the incident names the procedure's text by its digest, so
that a later version of the policy changes nothing under the hands of those who work through it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ioc.incidents.policy_shapes import Code, PolicyError, Shape, Slug, nearness_of
from ioc.model.incidents import Checklist, OpenStep, Severity, StepKind, Taken

MAX_STEPS: Final = 30
MAX_PROCEDURES: Final = 200

Words = Annotated[str, Meta(min_length=1, max_length=400)]
Link = Annotated[str, Meta(pattern=r"^(https://|/)[^\s]{1,400}$")]


class Wording(Shape, frozen=True):
    """What people read, in both languages."""

    vi: Words
    en: Words


class Choice(Shape, frozen=True):
    """One answer of a step of the kind `choice`."""

    id: Slug
    text: Wording


class When(Shape, frozen=True):
    """A branch: the step is due only where that earlier step was answered so."""

    step: Slug
    answer: Slug


class ProcedureStep(Shape, frozen=True, kw_only=True):
    """One step. `kind`: `confirm` it was done, `choice` of an answer, `note` in words, `photo` reference.

    `link` leads to help: a map of hydrants, a list of telephone numbers.
    """

    id: Slug
    text: Wording
    required: bool = True
    kind: StepKind = StepKind.CONFIRM
    choices: Annotated[tuple[Choice, ...], Meta(max_length=8)] = ()
    when: When | None = None
    link: Link | None = None


class Procedure(Shape, frozen=True, kw_only=True):
    """The checklist for incidents of these rules, category and severity; what is left out is any."""

    title: Wording
    steps: Annotated[tuple[ProcedureStep, ...], Meta(min_length=1, max_length=MAX_STEPS)]
    rules: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=100)] | None = None
    category: Code | None = None
    severity: Severity | None = None

    def fits(self, rule: str, category: str, severity: Severity) -> int:
        """Return how particularly it fits: rule before category before severity; negative where not."""
        near = nearness_of(self.category, category)
        if (
            near is None
            or (self.rules is not None and rule not in self.rules)
            or self.severity not in (None, severity)
        ):
            return -1
        return 8 * (self.rules is not None) + 2 * near + (self.severity is not None)


def chosen(procedures: Sequence[Procedure], rule: str, category: str, severity: Severity) -> Procedure | None:
    """Return the most particular procedure that fits, among equals the first; None where none does."""
    fitting = [found for found in procedures if found.fits(rule, category, severity) >= 0]
    return max(fitting, key=lambda found: found.fits(rule, category, severity), default=None)


def check_procedures(procedures: Sequence[Procedure]) -> None:
    """Check what the shape alone cannot say.

    Raises:
        PolicyError: a step's id repeats, a choice has no answers, a branch hangs on nothing.
    """
    for n, procedure in enumerate(procedures):
        answers: dict[str, set[str]] = {}
        for m, step in enumerate(procedure.steps):
            field = f"procedures[{n}].steps[{m}]"
            if step.id in answers:
                raise PolicyError(f"{field}.id", "unique", f"the id {step.id!r} is taken by an earlier step")
            _check_choices(field, step)
            if step.when and step.when.answer not in answers.get(step.when.step, ()):
                raise PolicyError(
                    f"{field}.when",
                    "branch",
                    "expected an earlier choice and one of its answers",
                )
            answers[step.id] = {choice.id for choice in step.choices}


def _check_choices(field: str, step: ProcedureStep) -> None:
    distinct = {choice.id for choice in step.choices}
    if step.kind is StepKind.CHOICE and len(distinct) < 2:
        raise PolicyError(f"{field}.choices", "choices", "expected at least two different answers")
    if step.kind is not StepKind.CHOICE and step.choices:
        raise PolicyError(f"{field}.choices", "choices", "only a step of kind choice has answers")
    if len(distinct) != len(step.choices):
        raise PolicyError(f"{field}.choices", "unique", "an answer's id repeats")


@lru_cache(maxsize=1_000)
def ref_of(procedure: Procedure) -> str:
    """Return the name of a procedure's text: equal texts have equal names."""
    return hashlib.sha256(msgspec.json.encode(procedure)).hexdigest()[:20]


@lru_cache(maxsize=1_000)
def begin(procedure: Procedure) -> Checklist:
    """Return the checklist of which nothing has been done."""
    return progress(procedure, ())


def find(ref: str, procedures: Iterable[Procedure], texts: Mapping[str, Procedure]) -> Procedure | None:
    """Return the text that `ref` names, among those in force or those that once were."""
    known = texts.get(ref)
    return known or next((procedure for procedure in procedures if ref_of(procedure) == ref), None)


def due_steps(procedure: Procedure, taken: Iterable[Taken]) -> list[ProcedureStep]:
    """Return the steps that are due, whether taken or not: without the branches that nobody entered."""
    by_step = {each.step: each for each in taken}
    answers: dict[str, str | None] = {}
    due = []
    for step in procedure.steps:
        if step.when is None or answers.get(step.when.step) == step.when.answer:
            due.append(step)
            found = by_step.get(step.id)
            answers[step.id] = found.answer if found else None
    return due


def progress(procedure: Procedure, taken: Sequence[Taken]) -> Checklist:
    """Return the checklist after `taken`, one entry per step."""
    due = due_steps(procedure, taken)
    done = {each.step for each in taken}
    return Checklist(
        ref=ref_of(procedure),
        done=sum(step.id in done for step in due),
        total=len(due),
        open=tuple(
            OpenStep(step.id, step.kind, tuple(choice.id for choice in step.choices))
            for step in due
            if step.required and step.id not in done
        ),
        taken=tuple(taken),
    )


def with_step(procedure: Procedure, before: Checklist, entry: Taken) -> Checklist:
    """Return the checklist with one more entry, in place of an earlier one of the same step."""
    others = [each for each in before.taken if each.step != entry.step]
    return progress(procedure, [*others, entry])
