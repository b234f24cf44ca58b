"""Open files: what the system allows is taken, and too little is a finding."""

import resource
from collections.abc import Iterator

import pytest

from ioc.app import open_files


@pytest.fixture
def before() -> Iterator[tuple[int, int]]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield limits
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_start_takes_what_the_system_allows(before: tuple[int, int]) -> None:
    _, hard = before
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    open_files.raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


@pytest.mark.parametrize(("hard", "number"), [(resource.RLIM_INFINITY, None), (512, 512)])
def test_the_hard_limit_is_what_counts(
    monkeypatch: pytest.MonkeyPatch, hard: int, number: int | None
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (16, hard))
    assert open_files.allowed() == number
