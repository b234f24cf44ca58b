"""Options that several commands share, and what may be given with them."""

from pathlib import Path
from typing import Annotated, Final

import httpx
import typer

from simulators import SimulatorError

MAX_LENGTH_S: Final = 366 * 86_400.0
"""Of anything that is played, written or judged."""
MAX_SPEED: Final = 3_600.0
"""A day in 24 seconds."""

DEVICES: Final = Path("demo/devices.geojson")
AREAS: Final = Path("demo/areas.geojson")
URL: Final = "http://127.0.0.1:8000"


def checked_url(url: str | None) -> str | None:
    """Return `url`.

    Raises:
        SimulatorError: it is no address of a service.
    """
    try:
        fits = url is None or (httpx.URL(url).scheme in ("http", "https") and httpx.URL(url).host != "")
    except httpx.InvalidURL:
        fits = False
    if not fits:
        raise SimulatorError(f"--url {url}: expected an address such as {URL}")
    return url


Devices = Annotated[Path, typer.Option(help="Devices, as `city build` writes them.")]
Areas = Annotated[Path, typer.Option(help="Areas, so that scenarios can name them.")]
Url = Annotated[str, typer.Option(help="The service's HTTP address.", callback=checked_url)]
Keys = Annotated[Path, typer.Option(help='Device keys: JSON {"device id": "key"}.')]
Json = Annotated[bool, typer.Option("--json", help="Print the final summary as JSON.")]
