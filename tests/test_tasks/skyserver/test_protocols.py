"""The protocols of the cutout services, without a server: what is read from a request, and what is refused."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from tasks.skyserver.images import OUTSIDE, encode_jpeg, outside_picture
from tasks.skyserver.protocols import CutoutReply, answer, black, unavailable

SDSS, VIEWER = "/dr17/SkyServerWS/ImgCutout/getjpeg", "/viewer/cutout.jpg"


class Recorder:
    """A source that records what it is asked for; north of 80 degrees it has no data."""

    def __init__(self) -> None:
        self.requests: list[tuple[float, float, float, int, int]] = []

    def jpeg(self, ra_deg: float, dec_deg: float, scale: float, width: int, height: int) -> bytes | None:
        self.requests.append((ra_deg, dec_deg, scale, width, height))
        return None if dec_deg > 80 else b"image"

    def prepare(self) -> None:
        """Nothing to do."""


def ask(path: str, black_outside: bool = False, **query: str) -> tuple[CutoutReply, list[tuple[float, ...]]]:
    source = Recorder()
    return answer(path, query, source, black_outside), list(source.requests)


@pytest.mark.parametrize(
    ("query", "request_"),
    [
        ({}, (10.0, -5.0, 0.396127, 128, 128)),
        ({"scale": "0.5", "width": "64", "height": "2048"}, (10.0, -5.0, 0.5, 64, 2048)),
        ({"scale": "0.0149", "width": "63", "height": "2049"}, (10.0, -5.0, 0.015, 64, 2048)),
        ({"scale": "2401", "width": "+300"}, (10.0, -5.0, 2400.0, 300, 128)),
        ({"ra": "0", "dec": "90"}, (0.0, 90.0, 0.396127, 128, 128)),
        ({"ra": "360", "dec": "-90"}, (360.0, -90.0, 0.396127, 128, 128)),
        ({"ra": "01:30:36", "dec": "-00:30:36"}, (22.65, -0.51, 0.396127, 128, 128)),
        ({"ra": "10", "dec": "+10:30:00"}, (10.0, 10.5, 0.396127, 128, 128)),
    ],
)
def test_a_cutout_request_is_read_and_silently_limited(query: dict[str, str], request_: tuple[float, ...]) -> None:
    reply, requests = ask(SDSS, **({"ra": "10", "dec": "-5"} | query))
    assert requests == [pytest.approx(request_, rel=1e-12)]
    assert reply.position == pytest.approx(request_[:2])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"dec": "1"}, "parameter ra is missing"),
        ({"ra": " ", "dec": "1"}, "parameter ra is missing"),
        ({"ra": "-0.1", "dec": "1"}, "ra=-0.1 is out of range"),
        ({"ra": "360.1", "dec": "1"}, "ra=360.1 is out of range"),
        ({"ra": "1", "dec": "90.1"}, "dec=90.1 is out of range"),
        ({"ra": "1", "dec": "-90.1"}, "dec=-90.1 is out of range"),
        ({"ra": "1", "dec": "inf"}, "dec=inf is not a number"),
        ({"ra": "1", "dec": "1", "width": "1e3"}, "width=1e3 is not a whole number"),
        ({"ra": "1", "dec": "1", "height": "1234567890"}, "height=1234567890 is not a whole number"),
    ],
)
def test_a_wrong_cutout_request_is_refused_by_name_and_value(query: dict[str, str], message: str) -> None:
    reply, requests = ask(SDSS, **query)
    assert (reply.status, reply.media_type, reply.position) == (400, "application/json", None)
    assert json.loads(reply.body)["ErrorMessage"] == message
    assert requests == []


def test_outside_the_footprint_the_status_depends_on_the_release_that_is_imitated() -> None:
    for black_outside, status, reason in ((False, 404, f"NOT FOUND. {OUTSIDE}"), (True, 200, "OK")):
        reply, _ = ask(SDSS, black_outside, ra="10", dec="81", width="100", height="70")
        assert (reply.status, reply.reason, reply.position) == (status, reason, (10.0, 81.0))
        assert reply.body == outside_picture(100, 70)


@pytest.mark.parametrize(
    ("query", "request_"),
    [
        ({}, (10.0, -5.0, 0.262, 256, 256)),
        ({"layer": "sdss", "size": "90"}, (10.0, -5.0, 0.396, 90, 90)),
        ({"size": "90", "height": "3001", "pixscale": "1.5"}, (10.0, -5.0, 1.5, 90, 3000)),
        ({"size": "0", "pixscale": "0.001"}, (10.0, -5.0, 0.015, 1, 1)),
        ({"ra": "370", "dec": "-91"}, (10.0, -90.0, 0.262, 256, 256)),
    ],
)
def test_a_viewer_request_wraps_and_limits_what_it_gets(query: dict[str, str], request_: tuple[float, ...]) -> None:
    reply, requests = ask(VIEWER, **({"ra": "10", "dec": "-5"} | query))
    assert requests == [pytest.approx(request_)]
    assert (reply.status, reply.body) == (200, b"image")


def test_the_viewer_shows_grey_where_it_has_no_data_and_never_answers_404() -> None:
    reply, _ = ask(VIEWER, ra="10", dec="85", size="20")
    assert reply.status == 200
    assert Image.open(io.BytesIO(reply.body)).getextrema() == ((33, 33),) * 3
    assert ask(VIEWER, ra="10")[0].status == 400
    assert ask(VIEWER, ra="10", dec="1", size="x")[0].body == b"width=x is not a whole number"
    assert ask(VIEWER, layer="nope")[0].media_type == "text/html"


def test_other_paths_are_not_found_and_faults_look_like_those_of_the_services() -> None:
    assert ask("/dr17/other", ra="1", dec="1")[0].status == 404
    assert ask("/drx/skyserverws/imgcutout/getjpeg", ra="1", dec="1")[0].status == 404
    assert ask(SDSS.upper() + "/", ra="1", dec="1")[0].status == 200
    assert (unavailable().status, unavailable().media_type) == (503, "text/html")
    assert black((1.0, 2.0)) == CutoutReply(200, "OK", "image/jpeg", outside_picture(128, 128), (1.0, 2.0))


def test_a_simulated_image_says_so() -> None:
    image = Image.open(io.BytesIO(encode_jpeg(np.full((8, 9, 3), 40, np.uint8))))
    assert image.size == (9, 8)
    assert image.info["comment"] == b"simulated by starloom"
