"""Who is responsible, how long things may take, what belongs together: read, change, look ahead."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from ioc.api.answers import documented, json_answer
from ioc.api.ports import PolicyInfo, PolicyStore
from ioc.api.problems import NO_NUL, FieldError, Problem, refused
from ioc.api.security import Access, Right, require_own_page, require_right
from ioc.incidents.policy_shapes import PolicyError
from ioc.incidents.routing import Preview, Rerouted
from ioc.store.policies import StalePolicyError
from ioc.store.users import Person

POLICY_PREFIX: Final = "/api/v1/policies/"
PREVIEW_PATH: Final = POLICY_PREFIX + "preview"
PREVIEW_BYTES: Final = 16 * 2**20
"""Largest body of a preview: the boundaries of a province."""
POLICY_BYTES: Final = 2**20
"""Largest policy: an authority table of `MAX_ROWS` rows with their wards, or many procedures."""
MAX_SHOWN: Final = 1_000
"""Changed incidents named in one preview; all are counted."""


class PolicyList(msgspec.Struct, frozen=True):
    """Policies, or the versions of one."""

    items: list[PolicyInfo]


class PolicyBody(BaseModel):
    """The next version of a policy. `expect_version` is the one the person saw, 0 the shipped one."""

    model_config = ConfigDict(extra="forbid")

    doc: dict[str, Any]
    reason: Annotated[str, Field(min_length=1, max_length=1_000), NO_NUL]
    expect_version: Annotated[int, Field(ge=0, le=2**31 - 2)]


class PreviewBody(BaseModel):
    """What to try: another authority table, other wards (a GeoJSON FeatureCollection), or both."""

    model_config = ConfigDict(extra="forbid")

    authority: dict[str, Any] | None = None
    areas: dict[str, Any] | None = None


class PreviewJson(msgspec.Struct, frozen=True):
    """How many open incidents were looked at and what would change for which; `homeless` lose their ward."""

    looked_at: int
    changed: int
    homeless: int
    items: tuple[Rerouted, ...]


def _preview_view(found: Preview) -> PreviewJson:
    return PreviewJson(found.looked_at, len(found.changed), found.homeless, found.changed[:MAX_SHOWN])


def policies_router(policies: PolicyStore, access: Access) -> APIRouter:
    """Return the routes of policies. Everybody may read them; changing them is a right of its own."""
    router = APIRouter(prefix="/api/v1/policies", tags=["policies"], dependencies=[Depends(require_own_page)])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type
    Name = Annotated[str, Path(max_length=40, pattern="^[a-z]+$")]  # noqa: N806 - a type

    @router.get("", **documented(PolicyList, text="Every policy in force."))
    async def list_policies(_person: Me) -> Response:
        """Return the policies in force; version 0 is what is shipped."""
        return json_answer(PolicyList(list(await policies.list())))

    @router.post("/preview", **documented(PreviewJson, text="What would change."))
    async def preview(body: PreviewBody, person: Me) -> Response:
        """Say what another authority table, or other boundaries, would change for the open incidents."""
        require_right(person, Right.POLICIES)
        if body.authority is None and body.areas is None:
            raise refused("authority", "something_to_try", "Send `authority`, `areas` or both.")
        areas = None if body.areas is None else msgspec.json.encode(body.areas)
        try:
            found = await policies.preview(body.authority, areas, person.wards)
        except PolicyError as error:
            raise _unfit(error, "authority.") from error
        except ValueError as error:
            raise refused("areas", "areas", str(error)) from error
        return json_answer(_preview_view(found))

    @router.get("/{name}/versions", **documented(PolicyList, text="Its versions, newest first."))
    async def list_versions(name: Name, _person: Me) -> Response:
        """Return who changed a policy when and why."""
        return json_answer(PolicyList(list(await policies.versions(name))))

    @router.put("/{name}", **documented(PolicyInfo, text="The new version."))
    async def put_policy(name: Name, body: PolicyBody, person: Me) -> Response:
        """Store the next version of a policy; it holds within seconds for what happens from then on."""
        require_right(person, Right.POLICIES)
        try:
            stored = await policies.put(
                name,
                body.doc,
                author=person.username,
                reason=body.reason,
                expect_version=body.expect_version,
            )
        except PolicyError as error:
            raise _unfit(error, "doc.") from error
        except StalePolicyError as error:
            found = FieldError("expect_version", "version", str(error))
            raise Problem(409, str(error), [found], members={"version": error.version}) from error
        return json_answer(stored)

    return router


def _unfit(error: PolicyError, prefix: str) -> Problem:
    return refused(prefix + error.field, error.rule, str(error))
