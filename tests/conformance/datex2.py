"""DATEX II: versions 2 and 3, XML and JSON, written from the specification."""

import gzip

from tests.conformance import Sample

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
V3 = (
    'xmlns:com="http://datex2.eu/schema/3/common" xmlns:loc="http://datex2.eu/schema/3/locationReferencing" '
    'xmlns:sit="http://datex2.eu/schema/3/situation" xmlns:roa="http://datex2.eu/schema/3/roadTrafficData" '
    + XSI
)
AT = "2026-11-22T16:58:00+07:00"


def v2(kind: str, content: str) -> str:
    """Return a DATEX II v2 message of one publication."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><d2LogicalModel xmlns="http://datex2.eu/schema/2/2_0" {XSI} '
        'modelBaseVersion="2"><exchange><supplierIdentification><country>other</country>'
        "<nationalIdentifier>VN-HCM</nationalIdentifier></supplierIdentification></exchange>"
        f'<payloadPublication xsi:type="{kind}" lang="vi"><publicationTime>{AT}</publicationTime>'
        "<publicationCreator><country>other</country><nationalIdentifier>VN-HCM</nationalIdentifier>"
        f"</publicationCreator>{content}</payloadPublication></d2LogicalModel>"
    )


def situation(record: str, name: str = "S1", severity: str = "high") -> str:
    """Return a v2 situation around one record."""
    return (
        f'<situation id="{name}" version="1"><overallSeverity>{severity}</overallSeverity><headerInformation>'
        "<confidentiality>noRestriction</confidentiality><informationStatus>real</informationStatus>"
        f"</headerInformation>{record}</situation>"
    )


POINT = (
    '<groupOfLocations xsi:type="Point"><supplementaryPositionalDescription>'
    "<affectedCarriagewayAndLanes/></supplementaryPositionalDescription><pointByCoordinates><pointCoordinates>"
    "<latitude>10.98</latitude><longitude>106.65</longitude></pointCoordinates></pointByCoordinates>"
    '<pointAlongLinearElement><linearElement><roadName><values><value lang="vi">Đại lộ Bình Dương</value>'
    "</values></roadName><roadNumber>QL13</roadNumber></linearElement></pointAlongLinearElement>"
    "</groupOfLocations>"
)


LANES = """<groupOfLocations xsi:type="Point"><supplementaryPositionalDescription>
<affectedCarriagewayAndLanes><carriageway>mainCarriageway</carriageway><lane>hardShoulder</lane><lane>lane1</lane>
</affectedCarriagewayAndLanes></supplementaryPositionalDescription><tpegPointLocation>
<tpegDirection>westBound</tpegDirection></tpegPointLocation><alertCPoint><alertCDirection>
<alertCDirectionCoded>negative</alertCDirectionCoded></alertCDirection></alertCPoint></groupOfLocations>"""
IMPACT = """<impact><numberOfLanesRestricted>2</numberOfLanesRestricted><numberOfOperationalLanes>1
</numberOfOperationalLanes><originalNumberOfLanes>3</originalNumberOfLanes><trafficConstrictionType>lanesBlocked
</trafficConstrictionType><delays><delayTimeValue>900</delayTimeValue></delays></impact>"""


def record(
    version: int = 1,
    validity: str = "<validityStatus>active</validityStatus>",
    management: str = "",
    kind: str = "Accident",
    own: str = "<accidentType>multivehicleAccident</accidentType>",
    place: str = POINT,
) -> str:
    """Return a v2 record of 16:50 local time."""
    return (
        f'<situationRecord xsi:type="{kind}" id="R1" version="{version}">'
        "<situationRecordCreationTime>2026-11-22T16:50:00+07:00</situationRecordCreationTime>"
        f"<situationRecordVersionTime>2026-11-22T16:5{version}:00+07:00</situationRecordVersionTime>"
        "<probabilityOfOccurrence>certain</probabilityOfOccurrence><severity>highest</severity>"
        f"<validity>{validity}<validityTimeSpecification><overallStartTime>2026-11-22T16:50:00+07:00"
        "</overallStartTime></validityTimeSpecification></validity>"
        '<generalPublicComment><comment><values><value lang="en">Accident with several vehicles</value>'
        '<value lang="vi">Tai nạn nhiều xe</value></values></comment></generalPublicComment>'
        f"{management}{place}{own}</situationRecord>"
    )


END = "<management><lifeCycleManagement><end>true</end></lifeCycleManagement></management>"
CANCEL = "<management><lifeCycleManagement><cancel>true</cancel></lifeCycleManagement></management>"


def v2_value(index: int, kind: str, value: str) -> str:
    """Return an indexed value of a v2 site."""
    return (
        f'<measuredValue index="{index}"><measuredValue><basicData xsi:type="{kind}">{value}</basicData>'
        "</measuredValue></measuredValue>"
    )


def v2_site(values: str, name: str = "QL13_001", time: str = AT) -> str:
    """Return the measurements of a v2 site."""
    return (
        f'<siteMeasurements><measurementSiteReference id="{name}" version="3" '
        f'targetClass="MeasurementSiteRecord"/><measurementTimeDefault>{time}</measurementTimeDefault>'
        f"{values}</siteMeasurements>"
    )


def speed(value: float, used: int | None = 12, error: bool = False) -> str:
    """Return a v2 average speed in km/h."""
    attribute = "" if used is None else f' numberOfInputValuesUsed="{used}"'
    fault = "<dataError>true</dataError>" if error else ""
    return f"<averageVehicleSpeed{attribute}>{fault}<speed>{value}</speed></averageVehicleSpeed>"


def flow(value: int) -> str:
    """Return a v2 flow in vehicles an hour."""
    return f"<vehicleFlow><vehicleFlowRate>{value}</vehicleFlowRate></vehicleFlow>"


def occupancy(value: float) -> str:
    """Return an occupancy in percent."""
    return f"<occupancy><percentage>{value}</percentage></occupancy>"


TWO_LANES = v2_site(
    v2_value(1, "TrafficFlow", flow(720))
    + v2_value(2, "TrafficSpeed", speed(42.5))
    + v2_value(3, "TrafficFlow", flow(360))
    + v2_value(4, "TrafficSpeed", speed(51))
    + v2_value(5, "TrafficConcentration", occupancy(18))
)


def _characteristics(index: int, kind: str, lane: str, vehicle: str = "anyVehicle") -> str:
    return (
        f'<measurementSpecificCharacteristics index="{index}"><measurementSpecificCharacteristics>'
        f"<accuracy>95</accuracy><period>60</period><specificLane>{lane}</specificLane>"
        f"<specificMeasurementValueType>{kind}</specificMeasurementValueType><specificVehicleCharacteristics>"
        f"<vehicleType>{vehicle}</vehicleType></specificVehicleCharacteristics>"
        "</measurementSpecificCharacteristics></measurementSpecificCharacteristics>"
    )


def table(*names: str) -> bytes:
    """Return a v2 table of sites with two lanes and an occupancy of the whole carriageway."""
    sites = "".join(
        f'<measurementSiteRecord id="{name}" version="3"><measurementSiteName><values>'
        f'<value lang="vi">Quốc lộ 13, {name}</value></values></measurementSiteName>'
        "<measurementSiteNumberOfLanes>2</measurementSiteNumberOfLanes>"
        + _characteristics(1, "trafficFlow", "lane1")
        + _characteristics(2, "trafficSpeed", "lane1")
        + _characteristics(3, "trafficFlow", "lane2")
        + _characteristics(4, "trafficSpeed", "lane2")
        + _characteristics(5, "trafficConcentration", "allLanesCompleteCarriageway")
        + _characteristics(6, "trafficFlow", "lane1", "lorry")
        + '<measurementSiteLocation xsi:type="Point"><locationForDisplay><latitude>10.98</latitude>'
        "<longitude>106.65</longitude></locationForDisplay></measurementSiteLocation></measurementSiteRecord>"
        for name in names
    )
    content = f'<measurementSiteTable id="VN_MT" version="7">{sites}</measurementSiteTable>'
    return v2("MeasurementSiteTablePublication", content).encode()


V3_SITUATION = (
    f'<d2:payload xmlns:d2="http://datex2.eu/schema/3/d2Payload" {V3} xsi:type="sit:SituationPublication" '
    f'lang="en" modelBaseVersion="3"><com:publicationTime>{AT}</com:publicationTime><com:publicationCreator>'
    "<com:country>vn</com:country><com:nationalIdentifier>HCM</com:nationalIdentifier></com:publicationCreator>"
    '<sit:situation id="S3"><sit:overallSeverity>medium</sit:overallSeverity><sit:headerInformation>'
    "<com:informationStatus>real</com:informationStatus></sit:headerInformation>"
    '<sit:situationRecord xsi:type="sit:MaintenanceWorks" id="R3" version="4">'
    "<sit:situationRecordCreationTime>2026-11-20T08:00:00Z</sit:situationRecordCreationTime>"
    "<sit:situationRecordVersionTime>2026-11-22T09:00:00Z</sit:situationRecordVersionTime>"
    "<sit:probabilityOfOccurrence>certain</sit:probabilityOfOccurrence><sit:validity>"
    "<com:validityStatus>definedByValidityTimeSpec</com:validityStatus><com:validityTimeSpecification>"
    "<com:overallStartTime>2026-11-21T00:00:00Z</com:overallStartTime>"
    "<com:overallEndTime>2026-11-25T00:00:00Z</com:overallEndTime></com:validityTimeSpecification></sit:validity>"
    '<sit:cause><sit:causeType>roadMaintenance</sit:causeType></sit:cause><sit:generalPublicComment><sit:comment>'
    '<com:values><com:value lang="en">Resurfacing</com:value></com:values></sit:comment>'
    "</sit:generalPublicComment>"
    '<sit:locationReference xsi:type="loc:LinearLocation"><loc:gmlLineString srsName="EPSG:4326">'
    "<loc:posList>10.90 106.60 10.90 106.62 10.90 106.64</loc:posList></loc:gmlLineString>"
    "</sit:locationReference>"
    "<sit:roadMaintenanceType>resurfacingWork</sit:roadMaintenanceType></sit:situationRecord></sit:situation>"
    "</d2:payload>"
)  # fmt: skip

V3_MEASURED = (
    f'<mc:messageContainer xmlns:mc="http://datex2.eu/schema/3/messageContainer" {V3} modelBaseVersion="3">'
    f'<mc:payload xsi:type="roa:MeasuredDataPublication" lang="vi"><com:publicationTime>{AT}'
    '</com:publicationTime><roa:measurementSiteTableReference targetClass="roa:MeasurementSiteTable" id="T" '
    'version="1"/><roa:headerInformation><com:informationStatus>real</com:informationStatus>'
    "</roa:headerInformation><roa:siteMeasurements>"
    '<roa:measurementSiteReference targetClass="roa:MeasurementSite" id="QL13_002" version="19"/>'
    '<roa:physicalQuantity index="1"><roa:physicalQuantity xsi:type="roa:SinglePhysicalQuantity">'
    '<roa:basicData xsi:type="roa:TrafficFlow"><roa:vehicleFlow><com:vehicleFlowRate>240'
    "</com:vehicleFlowRate></roa:vehicleFlow></roa:basicData></roa:physicalQuantity></roa:physicalQuantity>"
    '<roa:physicalQuantity index="2"><roa:physicalQuantity xsi:type="roa:SinglePhysicalQuantity">'
    '<roa:basicData xsi:type="roa:TrafficSpeed"><roa:averageVehicleSpeed numberOfInputValuesUsed="4">'
    "<com:speed>61.5</com:speed></roa:averageVehicleSpeed></roa:basicData></roa:physicalQuantity>"
    '</roa:physicalQuantity><roa:physicalQuantity index="3"><roa:physicalQuantity '
    'xsi:type="roa:SinglePhysicalQuantity"><roa:physicalQuantityFault><com:faultLastUpdateTime>'
    "2026-11-22T09:00:00Z</com:faultLastUpdateTime><roa:physicalQuantityFaultType>intermittentDataValues"
    '</roa:physicalQuantityFaultType></roa:physicalQuantityFault><roa:basicData xsi:type="roa:'
    'TrafficConcentration"><roa:occupancy><com:percentage>99</com:percentage></roa:occupancy></roa:basicData>'
    "</roa:physicalQuantity></roa:physicalQuantity><roa:measurementTimeDefault><roa:timeValue>"
    "2026-11-22T16:55:00+07:00</roa:timeValue></roa:measurementTimeDefault></roa:siteMeasurements>"
    "</mc:payload><mc:exchangeInformation/></mc:messageContainer>"
)

V3_JSON_SITUATION = (
    '{"payload":{"modelBaseVersionG":"3","sitSituationPublication":{"lang":"vi","publicationTime":"'
    + AT
    + '","publicationCreator":{"country":"vn","nationalIdentifier":"HCM"},"situation":[{"idG":"S5",'
    '"headerInformation":{"informationStatus":{"value":"real"}},"situationRecord":[{"sitAccident":{'
    '"idG":"R5","versionG":"2","situationRecordCreationTime":"2026-11-22T09:40:00Z",'
    '"situationRecordVersionTime":"2026-11-22T09:50:00Z","probabilityOfOccurrence":{"value":"certain"},'
    '"severity":{"value":"high"},"accidentType":[{"value":"collision"}],"validity":{"validityStatus":'
    '{"value":"active"},"validityTimeSpecification":{"overallStartTime":"2026-11-22T09:40:00Z"}},'
    '"generalPublicComment":[{"comment":{"values":[{"lang":"vi","value":"Va chạm"}]}}],'
    '"locationReference":{"locPointLocation":{"pointByCoordinates":{"pointCoordinates":{"latitude":10.97,'
    '"longitude":106.66}}}}}}]}]}}}'
)

V3_JSON_MEASURED = (
    '{"payload":{"modelBaseVersionG":"3","roaMeasuredDataPublication":{"lang":"vi","publicationTime":"'
    + AT
    + '","siteMeasurements":[{"measurementSiteReference":{"targetClass":"MeasurementSite","idG":"QL13_003"},'
    '"physicalQuantity":[{"index":1,"physicalQuantity":{"roaSinglePhysicalQuantity":{"basicData":{'
    '"roaTrafficSpeed":{"averageVehicleSpeed":{"numberOfInputValuesUsed":7,"speed":33.5}}}}}},'
    '{"index":2,"physicalQuantity":{"roaSinglePhysicalQuantity":{"basicData":{"roaTrafficFlow":{'
    '"vehicleFlow":{"vehicleFlowRate":420}}}}}}],"measurementTimeDefault":{"timeValue":'
    '"2026-11-22T09:57:00Z"}}]}}}'
)


def v2_elaborated(duration: str) -> str:
    """Return travel times of a predefined stretch."""
    return v2(
        "ElaboratedDataPublication",
        '<elaboratedData><basicData xsi:type="TravelTimeData"><measurementOrCalculationTime>'
        "2026-11-22T16:55:00+07:00</measurementOrCalculationTime><pertinentLocation "
        'xsi:type="LocationByReference"><predefinedLocationReference id="QL13_N" version="1" '
        'targetClass="PredefinedLocation"/></pertinentLocation><travelTime>'
        f"<duration>{duration}</duration></travelTime><freeFlowTravelTime><duration>180</duration>"
        "</freeFlowTravelTime></basicData></elaboratedData>",
    )


V2_STATUS = v2(
    "ElaboratedDataPublication",
    '<elaboratedData><basicData xsi:type="TrafficStatus"><pertinentLocation '
    'xsi:type="LocationByReference"><predefinedLocationReference id="QL13_S" version="1" '
    'targetClass="PredefinedLocation"/></pertinentLocation><trafficStatus><trafficStatusValue>heavy'
    "</trafficStatusValue></trafficStatus></basicData></elaboratedData>",
)

CLOSED = (
    f'<mc:messageContainer xmlns:mc="http://datex2.eu/schema/3/messageContainer" {V3} '
    'xmlns:ex="http://datex2.eu/schema/3/exchangeInformation" '
    'xmlns:inf="http://datex2.eu/schema/3/informationManagement" modelBaseVersion="3">'
    "<mc:exchangeInformation><ex:messageGenerationTimestamp>2026-11-22T09:58:30Z"
    "</ex:messageGenerationTimestamp></mc:exchangeInformation><mc:informationManagement>"
    "<inf:informationManagedResourceList><inf:elementReference><inf:managementStatus>closed"
    '</inf:managementStatus><inf:versionedReference targetClass="sit:SituationRecord" id="R3" version="4"/>'
    "</inf:elementReference></inf:informationManagedResourceList></mc:informationManagement>"
    "</mc:messageContainer>"
)

SOAP = (
    '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
    + v2("SituationPublication", situation(record())).partition("?>")[2]
    + "</soap:Body></soap:Envelope>"
)

_V2, _V3 = "DATEX II v2, XML", "DATEX II v3, XML"
_JSON = "DATEX II v3, JSON"


def _ours(form: str, name: str, body: str | bytes) -> Sample:
    return Sample(
        format=form,
        name=name,
        decoder="datex2",
        body=body if isinstance(body, bytes) else body.encode(),
    )


_REAL = (
    "Roadwork.xml",
    "Roadwork2.xml",
    "Roadwork_lane_closed.xml",
    "Roadwork_lane_closed_2.xml",
    "Roadwork_lane_management.xml",
    "TrafficSituationAbnormalTraffic.xml",
    "TrafficSituationAbnormalTrafficExtension.xml",
    "TrafficSituationAccidentAndRoadOrCarriagewayOrLaneManagement.xml",
    "TrafficSituationDisturbanceActivity.xml",
    "TrafficSituationEquipmentOrSystemFault.xml",
    "TrafficSituationGeneralNetworkManagement.xml",
    "TrafficSituationIceRoadClosed.xml",
    "TrafficSituationInfrastructureDamageObstruction.xml",
    "TrafficSituationNonWeatherRelatedRoadcondition.xml",
    "TrafficSituationPoorEnvironmentalConditions.xml",
    "TrafficSituationPublicEvent.xml",
    "TrafficSituationRoadOrCarriagewayOrLaneManagementAndSpeedManagement.xml",
    "TrafficSituationRoadOrCarriagewayOrLaneManagementAndWeatherCondition.xml",
    "TrafficSituationTransitInformation.xml",
    "TrafficSituationVehicleObstructionAndRoadOrCarriagewayOrLaneManagement.xml",
)
"""Two more of the folder hold nothing but records whose times are placeholders; they are refused."""

SAMPLES: list[Sample] = [
    _ours(_V2, "accident", v2("SituationPublication", situation(record()))),
    _ours(_V2, "accident, ended", v2("SituationPublication", situation(record(2, management=END)))),
    _ours(_V2, "accident in SOAP", SOAP),
    _ours(_V2, "accident, gzip", gzip.compress(SOAP.encode(), mtime=0)),
    _ours(_V2, "flow, speed and occupancy of two lanes", v2("MeasuredDataPublication", TWO_LANES)),
    _ours(_V2, "travel time of a stretch", v2_elaborated("245")),
    _ours(_V2, "status of a stretch", V2_STATUS),
    _ours(_V3, "maintenance works on a line", V3_SITUATION),
    _ours(_V3, "flow and speed, one value faulty", V3_MEASURED),
    _ours(_V3, "record closed by reference", CLOSED),
    _ours(
        _V2,
        "jam on two lanes",
        v2("SituationPublication", situation(record(kind="AbnormalTraffic", management=IMPACT, place=LANES))),
    ),
    _ours(_JSON, "accident", V3_JSON_SITUATION),
    _ours(_JSON, "flow and speed", V3_JSON_MEASURED),
    *(
        Sample(format=_V2, name=f"Finland: {name}", decoder="datex2", path=f"datex2-situations/{name}")
        for name in _REAL
    ),
    Sample(
        format=_JSON,
        name="accident (UF 2024)",
        decoder="datex2",
        path="datex2-v3-json/Situation Accident example.json",
    ),
]
