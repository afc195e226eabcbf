"""Three polite requests to the real services and the head of a real table: `pytest -m live`, with a network."""

import csv
import time
import zlib

import pytest
import requests

from galaxy.catalogue.official_files import OFFICIAL_TABLES
from galaxy.images import cutouts
from tasks.http.client import USER_AGENT

pytestmark = pytest.mark.live

M100 = cutouts.SkyPatch(185.7287, 15.8223, 0.8, 128, False)


@pytest.mark.parametrize(("source", "release"), [("sdss", "dr17"), ("sdss", "dr18"), ("legacy", "ls-dr10")])
def test_a_service_answers_with_the_image_that_was_asked_for(source: str, release: str) -> None:
    address, parameters = cutouts.service_request(source, cutouts.SERVICES[source], release, M100)
    answer = requests.get(address, parameters, headers={"User-Agent": USER_AGENT}, timeout=60)
    time.sleep(1)
    assert answer.status_code == 200
    cutouts.check_markers(answer.headers["Content-Type"].partition(";")[0], answer.content)
    assert cutouts.decode(answer.content, M100.request_px).shape == (128, 128, 3)


def test_the_head_of_hart_2016_is_what_it_is_taken_for() -> None:
    headers = {"User-Agent": USER_AGENT, "Range": "bytes=0-65535"}
    body = requests.get(OFFICIAL_TABLES["gz2-hart16"], headers=headers, timeout=60).content
    lines = zlib.decompressobj(wbits=31).decompress(body).decode("ascii").splitlines()
    header, first = next(csv.reader(lines)), next(csv.reader(lines[1:]))
    assert header[:3] == ["dr7objid", "ra", "dec"]
    assert "gz2_class" in header
    assert len(header) == 231 == len(first)
    assert len(first[0]) == 18
