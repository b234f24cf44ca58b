"""Every column that is published is documented in both languages."""

from ioc.app.pages.open_data import PAGE, render
from ioc.store.open_data import DATASETS


def test_the_page_is_what_the_datasets_say() -> None:
    assert PAGE.read_text("utf-8") == render(), "run: python -m ioc.app.pages.open_data"


def test_every_column_is_explained_in_both_languages() -> None:
    for dataset in DATASETS.values():
        names = [column.name for column in dataset.columns]
        assert len(names) == len(set(names))
        assert ("lon" in names) == ("lat" in names) == dataset.has_position
        for column in dataset.columns:
            assert column.title.vi and column.title.en and column.title.vi != column.title.en
