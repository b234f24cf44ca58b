"""What the page of devices knows by heart is what the service does."""

import re
from pathlib import Path

from ioc.api.device_files import IMPORT_BYTES
from ioc.ingest.decoders import DECODERS
from ioc.model.device_health import STALE_INTERVALS, STALE_LEAST_S, THROTTLED_WITHIN_S

PAGE = Path(__file__).parents[3] / "dashboards" / "console" / "src" / "devices"


def test_the_page_offers_every_decoder_and_judges_by_the_same_bounds() -> None:
    model = (PAGE / "model.ts").read_text("utf-8")
    found = re.search(r"DECODERS = \[(.*?)\]", model, re.DOTALL)
    assert found
    assert re.findall(r"'([a-z0-9]+)'", found[1]) == sorted(DECODERS)
    assert f"STALE_INTERVALS = {STALE_INTERVALS}\n" in model
    assert f"STALE_LEAST_S = {STALE_LEAST_S:.0f}\n" in model
    assert f"THROTTLED_MS = {THROTTLED_WITHIN_S:.0f}_000\n" in (PAGE / "HealthPanel.svelte").read_text(
        "utf-8"
    )
    assert f"MOST_BYTES = {IMPORT_BYTES >> 20} << 20\n" in (PAGE / "ImportDialog.svelte").read_text("utf-8")
