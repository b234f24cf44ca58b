"""The table of docs/conformance.md is what the decoders do."""

import pytest

from ioc.ingest.decoders import DECODERS
from tests.conformance import DATA, Sample, samples
from tests.conformance.__main__ import PAGE, page

OWN = [sample for sample in samples() if sample.body is not None]


def test_the_page_is_what_the_decoders_do() -> None:
    if not DATA.is_dir():
        pytest.skip("the real samples are not at hand")
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.conformance"


def test_every_decoder_has_a_sample_of_ours() -> None:
    assert {sample.decoder for sample in OWN} == set(DECODERS)


@pytest.mark.parametrize("sample", OWN, ids=lambda sample: f"{sample.format}: {sample.name}")
def test_a_sample_sent_again_gives_the_same_ids_and_none_twice(sample: Sample) -> None:
    assert sample.content is not None
    first, again = sample.decode(sample.content), sample.decode(sample.content)
    ids = [(event.source, event.id) for event in first.events]
    assert ids == [(event.source, event.id) for event in again.events]
    assert len(set(ids)) == len(ids)
