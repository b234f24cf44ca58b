"""The demo's people: everybody has a login, and an older demo gets who came later."""

from ioc.app.demo import PEOPLE, _create_people
from ioc.store.row_scope import SERVICE, ScopedPool
from ioc.store.users import Role, Users


async def test_an_older_demo_gets_the_logins_that_came_later_and_keeps_its_own(pool: ScopedPool) -> None:
    users = Users(pool.of(SERVICE))
    first = await _create_people(users, {})
    assert set(first) == {username for username, *_ in PEOPLE}
    older = {username: word for username, word in first.items() if username != "supervisor2"}
    later = await _create_people(users, older)
    assert set(later) == {"supervisor2"} and later["supervisor2"] != first["supervisor2"]
    assert await _create_people(users, older | later) == {}
    leads = [person for person in await users.list_users() if person.role is Role.SUPERVISOR]
    assert len(leads) >= 2, "a shift is handed over to somebody"
