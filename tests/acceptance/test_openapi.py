"""Schemathesis over the whole OpenAPI document: whatever is asked, no answer is an unexplained 5xx."""

from collections import Counter
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from benchmarks.service import Service
from ioc.api.access_table import ROUTES, Audience
from ioc.api.security import RIGHTS
from ioc.store.users import Role

EXAMPLES = 20
EXPLAINED = {("GET /api/v1/cameras/{camera_id}/picture", 502)}
"""No camera answers, and that is said."""
_SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def somebody_with_rights_for(route: str) -> str | None:
    """Return a demo login that passes the route's door, None where nobody need be known."""
    door = ROUTES[route]
    if door.audience is not Audience.PERSON:
        return None
    return next(role.value for role in (Role.SUPERVISOR, Role.ADMIN) if door.rights <= RIGHTS[role])


def try_operation(operation: Any, route: str, headers: dict[str, str], base_url: str) -> Counter[int]:
    """Ask with generated values; return how often each status was answered."""
    statuses: Counter[int] = Counter()

    @_SETTINGS
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        answer = case.call(base_url=base_url, headers=headers, timeout=60)
        statuses[answer.status_code] += 1
        known = answer.status_code < 500 or (route, answer.status_code) in EXPLAINED
        assert known, f"{route}: {answer.status_code} {answer.text} for {case.as_curl_command()}"

    ask()
    return statuses


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_request_that_fits_the_document_meets_a_fault_of_ours(service: Service) -> None:
    sessions = {role: service.login(role) for role in ("supervisor", "admin")}
    document = httpx.get(f"{service.url}/api/v1/openapi.json").json()
    asked: dict[str, Counter[int]] = {}
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()
        route = f"{operation.method.upper()} {operation.path}"
        role = somebody_with_rights_for(route)
        headers = sessions[role] if role else {"X-IOC": "1"}
        asked[route] = try_operation(operation, route, headers, service.url)
    documented = {f"{method.upper()} {path}" for path, each in document["paths"].items() for method in each}
    assert asked.keys() == documented
    closed = {route for route, statuses in asked.items() if statuses[401] and somebody_with_rights_for(route)}
    assert closed == set(), "somebody known was asked to log in: nothing behind the door was tried"
    plain = {route for route in documented if route.startswith("GET") and "{" not in route}
    refused = {route for route in plain if not asked[route][200]}
    assert refused == set(), "no generated request was answered"
