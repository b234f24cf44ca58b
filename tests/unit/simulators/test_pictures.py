"""Camera pictures: drawn for every situation, served by id."""

import io
import urllib.error
import urllib.request

import pytest
from PIL import Image, ImageStat

from simulators.fleet import Fleet
from simulators.picture import draw, plain_letters
from simulators.snapshots import snapshot_server
from simulators.steps import Kind
from simulators.world import View, World
from tests.unit.simulators.conftest import START_US


def test_names_are_written_in_letters_the_font_has() -> None:
    assert plain_letters("Đại lộ Bình Dương – Ngã tư Chợ Đình") == "Dai lo Binh Duong - Nga tu Cho Dinh"


SEEN = tuple(Kind)[: tuple(Kind).index(Kind.RAIN)]
"""What a camera can see; a fault of a device looks like nothing."""


@pytest.mark.parametrize("kind", [None, *SEEN, Kind.COUNT_DRIFT])
def test_every_situation_can_be_drawn_and_looks_different(fleet: Fleet, kind: Kind | None) -> None:
    camera = fleet.cameras[0]
    kinds = frozenset({kind} if kind else ())
    crowd = 140 if kind is Kind.CROWD else 4
    stopped = int(kind is Kind.STOPPED_VEHICLE)
    vehicles = 36 if kind is Kind.CONGESTION else 6
    picture = draw(View(camera, START_US, 7.0, vehicles, crowd, stopped, kinds, silent=False))
    image = Image.open(io.BytesIO(picture))
    assert (image.format, image.size) == ("JPEG", (480, 270))
    calm = draw(View(camera, START_US, 7.0, 6, 4, 0, frozenset(), silent=False))
    assert (picture == calm) == (kind in (None, Kind.CAMERA_SILENT, Kind.COUNT_DRIFT))


def test_night_is_darker_than_day(fleet: Fleet) -> None:
    def brightness(hour: float) -> float:
        view = View(fleet.cameras[0], START_US, hour, 3, 3, 0, frozenset(), silent=False)
        return ImageStat.Stat(Image.open(io.BytesIO(draw(view))).convert("L")).mean[0]

    assert brightness(1.0) < 0.6 * brightness(12.0)


def test_the_server_answers_by_camera_and_ends_with_its_block(fleet: Fleet) -> None:
    world = World(fleet, [], seed=1, start_us=START_US)
    with snapshot_server(world, 0) as port:
        base = f"http://127.0.0.1:{port}/snapshot"
        with urllib.request.urlopen(f"{base}/{fleet.cameras[0].id}.jpg", timeout=5) as answer:
            assert answer.headers["Content-Type"] == "image/jpeg"
            assert answer.read()[:2] == b"\xff\xd8"
        for name in ("nobody.jpg", "../secret", f"{fleet.detectors[0].id}.jpg"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{base}/{name}", timeout=5)
            assert caught.value.code == 404
            caught.value.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{base}/{fleet.cameras[0].id}.jpg", timeout=1)
