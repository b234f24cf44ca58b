"""Tables whose columns a mapping names."""

from tests.conformance import Sample

OPTIONS = {
    "type": "traffic.flow",
    "time": "Thời gian",
    "time_format": "%d/%m/%Y %H:%M:%S",
    "source": "Trạm",
    "id": "STT",
    "field.speed_kmh": "Vận tốc",
    "field.occupancy": "Chiếm dụng",
    "factor.occupancy": "0.01",
    "field.lane": "Làn",
    "value.interval_s": "300",
    "none": "-999",
    "delimiter": ";",
    "decimal": ",",
}
TABLE = """STT;Trạm;Thời gian;Vận tốc;Chiếm dụng;Làn;Ghi chú
1;01;22/11/2026 16:55:00;42,5;12,5;1;
2;01;22/11/2026 17:00:00;-999;1.000,0;2;"đông; mưa"
3;02;22/11/2026 17:00:00;38;9;1;mưa
"""
LINES = (
    b'{"ts": 1795255200, "cam": "a", "n": {"people": 12, "xe": "30"}}\n'
    b'{"ts": 1795255260000, "cam": "b", "n": {"people": 3}}'
)
LINE_OPTIONS = {
    "type": "camera.count",
    "time": "ts",
    "time_format": "unix",
    "source": "cam",
    "field.people": "n.people",
    "field.vehicles": "n.xe",
}

SAMPLES = [
    Sample(
        format="CSV with a mapping",
        name="a Vietnamese table, one row out of range",
        decoder="tabular",
        body=TABLE.encode(),
        content_type="text/csv",
        time_zone="Asia/Ho_Chi_Minh",
        options=OPTIONS,
    ),
    Sample(
        format="NDJSON with a mapping",
        name="nested counts, Unix times",
        decoder="tabular",
        body=LINES,
        messages=2,
        content_type="application/x-ndjson",
        options=LINE_OPTIONS,
    ),
]
