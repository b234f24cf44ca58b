"""The rules in force, and which of them failed."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from ioc.api.answers import documented, json_answer
from ioc.api.ports import NotFoundError, RuleInfo, Rules, ShadowDiff
from ioc.api.problems import Problem
from ioc.api.security import Access, Right, require_right, scope_of
from ioc.model.texts import Text
from ioc.store.users import Person
from ioc.stream.masking import mask_text


class RuleList(msgspec.Struct, frozen=True):
    """Every rule, enabled or not."""

    items: list[RuleInfo]


class ShadowReport(msgspec.Struct, frozen=True):
    """A shadow rule beside the active one, in time order."""

    items: list[ShadowDiff]


def _masked(diff: ShadowDiff) -> ShadowDiff:
    """A rule may group by or quote whatever an event holds, as in `ioc.stream.wire.incident_view`."""
    summary = Text(mask_text(diff.summary.vi), mask_text(diff.summary.en))
    return msgspec.structs.replace(diff, key=mask_text(diff.key), summary=summary)


def rules_router(rules: Rules, access: Access) -> APIRouter:
    """Return the route of the rules."""
    router = APIRouter(prefix="/api/v1/rules", tags=["rules"])

    @router.get("", **documented(RuleList, text="The rules."))
    async def list_rules(person: Annotated[Person, Depends(access.person)]) -> Response:
        """Return the rules with their state."""
        require_right(person, Right.RULES)
        return json_answer(RuleList(list(await rules.rules())))

    @router.get("/{rule}/shadow", **documented(ShadowReport, text="The shadow beside the active rule."))
    async def compare_shadow(rule: str, person: Annotated[Person, Depends(access.person)]) -> Response:
        """Return what the shadow of a rule would have raised beside what the rule did raise."""
        require_right(person, Right.RULES)
        try:
            found = await rules.shadow(rule)
        except NotFoundError as error:
            raise Problem(404, f"rule {rule!r} has no shadow") from error
        scope = scope_of(person)
        return json_answer(ShadowReport([_masked(diff) for diff in found if scope.allows(diff.ward)]))

    return router
