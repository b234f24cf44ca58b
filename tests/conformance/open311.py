"""GeoReport v2: service requests of other cities."""

from tests.conformance import Sample

JSON = """[{"service_request_id": 638344, "status": "open", "service_name": "Ổ gà", "service_code": "006",
"description": "Hố sâu trước nhà số 12", "requested_datetime": "2026-11-22T09:12:00+07:00", "lat": "10.98",
"long": 106.65, "address": "12 Yersin", "zipcode": null, "media_url": ""},
{"service_request_id": "638345", "status": "closed", "service_code": "007",
"requested_datetime": "2026-11-22T08:00:00"}, {"status": "open"}]"""
XML = """<?xml version="1.0" encoding="utf-8"?>
<service_requests><request><service_request_id>638344</service_request_id><status>open</status>
<service_name>Ổ gà</service_name><service_code>006</service_code>
<description>Hố sâu trước nhà số 12</description>
<agency_responsible></agency_responsible><requested_datetime>2026-11-22T09:12:00+07:00</requested_datetime>
<address>12 Yersin</address><lat>10.98</lat><long>106.65</long><media_url/></request></service_requests>"""

SAMPLES = [
    Sample(
        format="Open311 GeoReport v2, JSON",
        name="three requests, one without id",
        decoder="open311",
        body=JSON.encode(),
        messages=3,
        content_type="application/json",
        time_zone="Asia/Ho_Chi_Minh",
    ),
    Sample(
        format="Open311 GeoReport v2, JSON",
        name="the list in an object",
        decoder="open311",
        body=b'{"service_requests": %b}' % JSON.encode(),
        messages=3,
        content_type="application/json",
        time_zone="Asia/Ho_Chi_Minh",
    ),
    Sample(
        format="Open311 GeoReport v2, XML",
        name="one request",
        decoder="open311",
        body=XML.encode(),
        content_type="text/xml",
    ),
    *(
        Sample(
            format="Open311 GeoReport v2",
            name="requests of a real city",
            decoder="open311",
            path=f"open311/{path}",
            time_zone="UTC",
        )
        for path in (
            "fixtures-codeforamerica/service_requests.xml",
            "fixtures-codeforamerica/service_requests_empty.xml",
            "fixtures-codeforamerica/get_service_request.xml",
            "fixtures-open311status/requests_many.xml",
            "fixtures-open311status/requests_single.xml",
            "fixtures-open311status/service_requests.json",
        )
    ),
]
