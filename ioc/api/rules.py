"""The rules in force, and which of them failed."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from ioc.api.answers import documented, json_answer
from ioc.api.ports import RuleInfo, Rules
from ioc.api.security import Access, Right, require_right
from ioc.store.users import Person


class RuleList(msgspec.Struct, frozen=True):
    """Every rule, enabled or not."""

    items: list[RuleInfo]


def rules_router(rules: Rules, access: Access) -> APIRouter:
    """Return the route of the rules."""
    router = APIRouter(prefix="/api/v1/rules", tags=["rules"])

    @router.get("", **documented(RuleList, text="The rules."))
    async def list_rules(person: Annotated[Person, Depends(access.person)]) -> Response:
        """Return the rules with their state."""
        require_right(person, Right.RULES)
        return json_answer(RuleList(list(await rules.rules())))

    return router
