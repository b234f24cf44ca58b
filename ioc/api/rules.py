"""The rules in force, and which of them failed."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from ioc.api.answers import documented, json_answer
from ioc.api.ports import NotFoundError, RuleInfo, Rules, ShadowDiff
from ioc.api.problems import Problem
from ioc.api.security import Access, Right, require_right
from ioc.store.users import Person


class RuleList(msgspec.Struct, frozen=True):
    """Every rule, enabled or not."""

    items: list[RuleInfo]


class ShadowReport(msgspec.Struct, frozen=True):
    """A shadow rule beside the active one, in time order."""

    items: list[ShadowDiff]


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
            return json_answer(ShadowReport(list(await rules.shadow(rule))))
        except NotFoundError as error:
            raise Problem(404, f"rule {rule!r} has no shadow") from error

    return router
