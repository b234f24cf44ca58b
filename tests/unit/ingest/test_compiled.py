"""Compiled decoders are the interpreted ones, only faster, and never older than their sources."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from msgspec.structs import replace

from ioc import compiled
from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode
from tests.conformance import Sample, samples


def made(**environment: str) -> tuple[str, list[str]]:
    """Return the file a decoder came from, and what the decoders made of every body."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.ingest.decoded"],
        env=os.environ | {"PYTHONHASHSEED": "0"} | environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    file, *lines = done.stdout.split("\n")
    return file, lines


def test_compiled_and_interpreted_decoders_make_the_same_of_every_body() -> None:
    file, fast = made()
    if file.endswith(".py"):
        pytest.skip("the decoders are not compiled as they are now: make setup, with a C compiler")
    source, slow = made(IOC_INTERPRETED="1")
    assert source.endswith(".py")
    assert len(slow) > 3_000
    for left, right in zip_longest(fast, slow):
        assert left == right


def test_decoders_whose_sources_have_changed_run_interpreted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IOC_INTERPRETED", raising=False)
    monkeypatch.setattr(compiled, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert compiled.compiled_first(["sources"]) == ["sources"], "nothing was compiled"
    compiled.mark()
    first, second = compiled.compiled_first(["sources"])
    assert (Path(first), second) == (tmp_path / "ioc" / "ingest" / "decoders", "sources")
    assert sys.path[-1] == str(tmp_path)
    monkeypatch.setattr(compiled, "digest", lambda: "of other sources")
    assert compiled.compiled_first(["sources"]) == ["sources"]


def turns_while(sample: Sample, body: bytes) -> tuple[int, Decode]:
    """Decode in a worker thread; return how often this thread had a turn meanwhile, and the result."""
    found: list[Decode] = []
    worker = threading.Thread(target=lambda: found.append(sample.decode(body)))
    turns = 0
    worker.start()
    while worker.is_alive():
        turns += 1
        time.sleep(0)
    return turns, found[0]


@pytest.mark.parametrize("decoder", sorted(set(DECODERS) - {"cap"}))
def test_other_threads_have_their_turn_while_a_large_body_is_decoded(decoder: str) -> None:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        tried = [turns_while(sample, body) for sample, body in large(decoder)]
    finally:
        sys.setswitchinterval(before_s)
    turns = [turns for turns, decode in tried if len(decode.events) >= 1_000]
    assert turns, "no body is large"
    assert min(turns) >= 8


def large(decoder: str) -> Iterator[tuple[Sample, bytes]]:
    """Yield samples that give an event, and bodies that hold them many times."""
    for sample in samples():
        body = (sample.body or b"").strip()
        if sample.decoder != decoder or not sample.decode(body).events:
            continue
        lines = replace(sample, content_type="application/x-ndjson")
        if decoder == "tabular" and sample.content_type == lines.content_type:
            yield sample, b"\n".join([body] * 1_000)
        elif b"siteMeasurements" in body and body.startswith(b"{"):
            root = json.loads(body)
            [publication] = [each for each in root["payload"].values() if isinstance(each, dict)]
            publication["siteMeasurements"] *= 1_000
            yield sample, json.dumps(root).encode()
        elif decoder == "open311" and body.startswith(b"["):
            yield sample, json.dumps(json.loads(body) * 1_000).encode()
        elif body.startswith(b"{") and decoder not in ("datex2", "open311", "tabular"):
            yield lines, b"\n".join([body.replace(b"\n", b"")] * 2_000)


def test_what_msgspec_reads_types_from_is_not_compiled() -> None:
    names = {path.stem for path in compiled.sources()}
    assert {"axis", "gathering", "ngsi", "onvif"} <= names
    assert not {name for name in names if name.endswith("_forms")} | (names & {"wire", "__init__"})
