"""What we have to say, as documents of GeoReport v2. Pure."""

from datetime import datetime
from typing import Final

from ioc.api import georeport as doc
from ioc.api.citizen_ports import PublicRequest, Receipt
from ioc.api.georeport_input import Locale, localised
from ioc.incidents.citizen_policy import CitizenPolicy, Service
from ioc.incidents.citizens import FINISHED, ReportStatus
from ioc.model.texts import Text

SPECIFICATION: Final = "http://wiki.open311.org/GeoReport_v2"
CHANGESET: Final = datetime.fromisoformat("2026-11-28T00:00:00+07:00")
"""When what this interface offers last changed."""
KEY_SERVICE: Final = "ioc tokens issue NAME --scope reports:write"

_STATUS_TEXTS: Final = {
    ReportStatus.RECEIVED: Text("Đã nhận.", "Received."),
    ReportStatus.ACCEPTED: Text("Đã tiếp nhận.", "Accepted."),
    ReportStatus.FORWARDED: Text("Đã chuyển đơn vị khác.", "Forwarded."),
    ReportStatus.IN_PROGRESS: Text("Đang xử lý.", "In progress."),
    ReportStatus.REOPENED: Text("Mở lại để xử lý tiếp.", "Opened again."),
}


def discovery_document(url: str, *, is_real: bool) -> doc.Discovery:
    """Return where the interface at `url` offers what."""
    endpoint = doc.Endpoint(
        specification=SPECIFICATION,
        url=url,
        changeset=CHANGESET,
        type="production" if is_real else "test",
        formats=list(doc.MEDIA_TYPES.values()),
    )
    return doc.Discovery(changeset=CHANGESET, contact=None, key_service=KEY_SERVICE, endpoints=[endpoint])


def service_document(service: Service, locale: Locale) -> doc.Service:
    """Return a line of the list of services."""
    return doc.Service(
        service_code=service.code,
        service_name=localised(service.name, locale),
        description=localised(service.description, locale),
        metadata=bool(service.attributes),
        keywords=", ".join(service.keywords),
        group=service.group,
    )


def definition_document(service: Service, locale: Locale) -> doc.ServiceDefinition:
    """Return what a service asks for."""
    return doc.ServiceDefinition(
        service_code=service.code,
        attributes=[
            doc.Attribute(
                code=attribute.code,
                datatype=attribute.datatype,
                required=attribute.required,
                order=order,
                description=localised(attribute.name, locale),
                values=[
                    doc.AttributeValue(key=choice.key, name=localised(choice.name, locale))
                    for choice in attribute.values
                ],
            )
            for order, attribute in enumerate(service.attributes, 1)
        ],
    )


def created_document(receipt: Receipt, locale: Locale) -> doc.Created:
    """Return what a sender gets."""
    notice = Text(f"Mã theo dõi phản ánh: {receipt.code}", f"Follow this report by its code: {receipt.code}")
    return doc.Created(service_request_id=receipt.id, service_notice=localised(notice, locale))


def shown_document(
    report: PublicRequest, policy: CitizenPolicy, locale: Locale, photos: str
) -> doc.ServiceRequest:
    """Return a report as everybody may see it; pictures are found below the address `photos`."""
    service = policy.service(report.service)
    notes = _STATUS_TEXTS | {
        ReportStatus.DONE: policy.answer_done,
        ReportStatus.REJECTED: policy.answer_rejected,
    }
    return doc.ServiceRequest(
        service_request_id=report.id,
        status="closed" if report.status in FINISHED else "open",
        status_notes=localised(notes[report.status], locale),
        # One that the policy no longer names keeps its code.
        service_name=localised(service.name, locale) if service else report.service,
        service_code=report.service,
        description=report.text,
        agency_responsible=report.team,
        requested_datetime=report.received.replace(microsecond=0),
        updated_datetime=report.updated.replace(microsecond=0),
        expected_datetime=report.due.replace(microsecond=0) if report.due else None,
        address=report.ward,
        lat=report.lat,
        long=report.lon,
        media_url=f"{photos}/{report.photo}" if report.photo else None,
    )
