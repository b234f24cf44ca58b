"""Every format comes in by the front door: what its sample holds is in the log or in quarantine."""

import httpx
import pytest
from fastapi import FastAPI

from ioc.ingest.http import ingest_router
from ioc.ingest.registry import RegistrySnapshot, hash_key
from ioc.model.places import Device, DeviceKind
from tests.conformance import Sample, samples
from tests.unit.ingest.fakes import City

KEY = "key-of-dev-1"
OWN = [sample for sample in samples() if sample.body is not None]


def sender(sample: Sample) -> Device:
    return Device(
        id="dev-1",
        kind=DeviceKind.GATEWAY,
        name="",
        ward="25747",
        decoder=sample.decoder,
        covers=("*",),
        time_zone=sample.time_zone,
        options=sample.options,
    )


@pytest.mark.parametrize("sample", OWN, ids=lambda sample: f"{sample.format}: {sample.name}")
async def test_a_sample_is_stored_or_refused_with_a_reason(sample: Sample) -> None:
    assert sample.body is not None
    expected = sample.decode(sample.body)
    devices = [sender(sample)]
    devices += [
        Device(id=source, kind=DeviceKind.CAMERA, name="", ward="25747")
        for source in sorted({event.source for event in expected.events} - {"dev-1"})
    ]
    city = City()
    city.registry.replace(RegistrySnapshot(devices, [(hash_key(KEY), "dev-1")]))
    if sample.topic is None:
        app = FastAPI()
        app.include_router(ingest_router(city.service))
        headers = {"authorization": f"Bearer {KEY}"}
        if sample.content_type is not None:
            headers["content-type"] = sample.content_type
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ioc") as client:
            answer = await client.post("/api/v1/ingest/events", content=sample.body, headers=headers)
        assert answer.status_code == (202 if expected.events or not expected.rejections else 400), answer.text
    else:
        await city.service.accept(
            devices[0], sample.body, sample.content_type, transport="mqtt", topic=sample.topic, wait=True
        )
    refused = [row for row in city.quarantine.rows if row.reason.startswith("not_")]  # for its time
    kept = city.log.ids + [row.event_id for row in refused]
    assert sorted(map(str, kept)) == sorted(event.id for event in expected.events)
    reasons = {row.reason for row in city.quarantine.rows}
    assert reasons >= {rejection.rule for rejection in expected.rejections if rejection.raw}
