"""Sources of a galaxy build: which service and rate, and which image of an archive belongs to which object."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from galaxy.simulation.synthetic_sky import SKY_COUNT
from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.building.collect import ArchiveSource, ServiceSource
from tasks.galaxies.building.plan import GalaxyPlan
from tasks.galaxies.building.sources import archive_source, open_source, service_source, truth_path
from tasks.runtime.workspace import Workspace
from tests.small_galaxies import build_request

NO_ROWS = pa.table({name: pa.array([], pa.string()) for name in ("id", "file", "asset_id")})


def planned(folder: Path, request: GalaxyBuildRequest, rows: pa.Table = NO_ROWS) -> GalaxyPlan:
    """A plan whose rows are all requested."""
    (folder / "plan.json").write_text(f'{{"ask": {rows.num_rows}}}')
    pq.write_table(rows.append_column("state", pa.array(["ask"] * rows.num_rows)), folder / "plan.parquet")
    return GalaxyPlan(folder, request)


@pytest.mark.parametrize("url", ["ftp://host/a", "skyserver.sdss.org", "http://", "file:///etc"])
def test_an_address_that_is_not_http_is_refused(workspace: Workspace, url: str) -> None:
    with pytest.raises(ValueError, match="is not an http or https address"):
        service_source(workspace, build_request(), url)


def test_another_host_keeps_the_rate_and_loopback_has_none(workspace: Workspace) -> None:
    far = service_source(workspace, build_request(max_rate_per_s=2.5), "https://skyserver.sdss.org/")
    assert (far.max_rate_per_s, far.service_url, far.identity) == (
        2.5,
        "https://skyserver.sdss.org",
        "https://skyserver.sdss.org/",
    )
    assert (far.release, far.request_px, far.retry_rejected) == ("dr17", 100, False)
    near = service_source(workspace, build_request(max_rate_per_s=2.5, retry_rejected=True), "http://127.0.0.1:8000")
    assert (near.max_rate_per_s, near.retry_rejected) == (None, True)


def test_the_simulated_sky_is_known_by_its_seed_whatever_its_port(workspace: Workspace) -> None:
    request = build_request(source="simulated", seed=7)
    first, second = (service_source(workspace, request, f"http://127.0.0.1:{port}") for port in (8000, 8001))
    assert first.identity == second.identity == f"simulated-sky-7-{SKY_COUNT}"


@pytest.mark.parametrize(
    ("source", "service_url", "url"),
    [
        ("sdss", None, "https://skyserver.sdss.org"),
        ("legacy", None, "https://www.legacysurvey.org"),
        ("sdss", "http://mirror", "http://mirror"),
        ("simulated", "http://mirror", "http://mirror"),
        ("simulated", None, "http://127.0.0.1"),
    ],
)
def test_the_service_is_the_sources_own_or_the_one_named(
    workspace: Workspace, tmp_path: Path, source: str, service_url: str | None, url: str
) -> None:
    plan = planned(tmp_path, build_request(source=source, service_url=service_url))
    with open_source(workspace, plan) as opened:
        assert isinstance(opened, ServiceSource)
        assert opened.service_url == url


def write_images(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        buffer = io.BytesIO()
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(buffer, "PNG")
        (folder / name).write_bytes(buffer.getvalue())
    return folder


def test_an_image_is_found_by_file_then_mapping_then_asset_then_id(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["named.png", "11.png", "12.png", "13.png", "d.png"])
    mapping = tmp_path / "mapping.csv"
    mapping.write_text("objid,sample,asset_id\na,original,11\nb,original,12\n")
    rows = pa.table(
        {
            "id": ["a", "b", "c", "d", "e"],
            "file": ["pictures/named.jpg", None, None, "gone.png", None],
            "asset_id": pa.array([13, 13, 13, None, 99], pa.int64()),
        }
    )
    request = build_request(source="archive", images=str(folder), mapping=str(mapping))
    source = archive_source(workspace, planned(tmp_path, request, rows))
    assert source.members == {"a": "named.png", "b": "12.png", "c": "13.png", "d": "d.png"}
    assert (source.path, source.raw) == (folder, workspace.raw)
    with open_source(workspace, planned(tmp_path, request, rows)) as opened:
        assert isinstance(opened, ArchiveSource)


def test_a_row_s_number_is_no_name_of_an_image_beside_a_file_or_an_asset(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["5.png", "6.png", "7.png", "587722981742215240.png"])
    rows = pa.table(
        {
            "id": ["5", "6", "7", "587722981742215240"],
            "file": ["gone.png", None, None, "gone.png"],
            "asset_id": pa.array([None, 99, None, 99], pa.int64()),
        }
    )
    source = archive_source(workspace, planned(tmp_path, build_request(source="archive", images=str(folder)), rows))
    assert source.members == {"7": "7.png", "587722981742215240": "587722981742215240.png"}


def test_what_is_no_image_is_a_fault_of_its_object(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ["J1.5-0.25.png", "b.jpg", "b.png", "c.fits", "d.png", "d.jpg"])
    files = ["J1.5-0.25", None, None, "d.jpg", None]
    rows = pa.table({"id": ["a", "b", "c", "d", "e"], "file": files, "asset_id": pa.nulls(5, pa.int64())})
    source = archive_source(workspace, planned(tmp_path, build_request(source="archive", images=str(folder)), rows))
    assert source.members == {"a": "J1.5-0.25.png", "d": "d.jpg"}
    faults = {name: (fault.reason, fault.parameters["file"]) for name, fault in source.faults.items()}
    assert faults == {"b": ("ambiguous_image", "b.jpg, b.png"), "c": ("unsupported_format:fits", "c.fits")}


def test_an_archive_that_does_not_exist_is_named(workspace: Workspace, tmp_path: Path) -> None:
    request = build_request(source="archive", images=str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="gone does not exist"):
        archive_source(workspace, planned(tmp_path, request))


def test_only_the_simulated_sky_of_the_program_has_a_truth(workspace: Workspace) -> None:
    assert truth_path(workspace, build_request()) is None
    assert truth_path(workspace, build_request(source="simulated")) is None  # a catalogue of the user's
