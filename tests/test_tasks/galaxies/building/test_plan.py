"""Rules of a galaxy build's plan: which objects are requested, with which frame, and what makes two builds the same."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tasks.galaxies.building.build_request import SIMULATED_LIMIT
from tasks.galaxies.building.plan import (
    GalaxyPlan,
    plan_galaxies,
    read_catalog,
    request_digest,
    require_common,
)
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import DatasetNameError, StoreError
from tests.small_galaxies import CATALOG, build_request


def dataset(tmp_path: Path, **manifest: Any) -> Dataset:
    """A published version of which only the manifest is read."""
    entries = {"name": "sky", "version": 1, "size_px": 64, "source": "sdss", "release": "dr17", "field": "petrosian"}
    return Dataset(tmp_path, entries | {"request_px": 100, "crop_fraction": 1.0} | manifest)


def test_a_new_dataset_takes_any_request() -> None:
    require_common(build_request(size_px=32), None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size_px": 32}, "holds 64-px samples, size_px=32"),
        ({"source": "legacy"}, "source=sdss, not legacy"),
        ({"release": "dr16"}, "release=dr17, not dr16"),
        ({"field": "redshift"}, "field=petrosian, not redshift"),
        ({"request_px": 200}, "request_px=100, not 200"),
        ({"crop_fraction": 0.5}, "crop_fraction=1.0, not 0.5"),
    ],
)
def test_samples_of_another_kind_are_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    parent = dataset(tmp_path)
    require_common(build_request(), parent)
    with pytest.raises(StoreError, match=says):
        require_common(build_request(**change), parent)
    if "size_px" in change:
        with pytest.raises(StoreError, match=says):
            require_common(build_request(**change, allow_mixed=True), parent)
    else:
        require_common(build_request(**change, allow_mixed=True), parent)


def test_an_archive_has_no_field_to_compare(tmp_path: Path) -> None:
    parent = dataset(tmp_path, source="archive", release=None, field=None, request_px=None)
    require_common(build_request(source="archive", images="folder", field="redshift", request_px=300), parent)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"max_rate_per_s": 1.0}, True),
        ({"max_connections": 3}, True),
        ({"retry_rejected": True}, True),
        ({"catalog": "elsewhere/table.parquet"}, True),
        ({"columns": {"ra": "RA_fit"}}, True),
        ({"service_url": "http://mirror"}, True),
        ({"limit": 10}, False),
        ({"seed": 1}, False),
        ({"size_px": 32}, False),
        ({"source": "legacy"}, False),
    ],
)
def test_two_requests_are_the_same_if_their_results_are(change: dict[str, Any], same: bool) -> None:
    facts = {"catalog_sha256": "0" * 64, "scheme": None}
    assert (request_digest(build_request(), facts) == request_digest(build_request(**change), facts)) is same
    assert request_digest(build_request(), facts) != request_digest(
        build_request(), facts | {"catalog_sha256": "1" * 64}
    )
    for other in ({"scheme": {"name": "deck-3"}}, {"backfill": 1}):
        assert request_digest(build_request(), facts) != request_digest(build_request(), facts | other)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "archive"}, "source=archive needs images"),
        ({"catalog": None}, "source=sdss needs catalog"),
        ({"field": "fixed"}, "needs scale_arcsec_per_px"),
        ({"catalog": None, "source": "simulated", "columns": {"ra": "x"}}, "give catalog=TABLE too"),
        ({"size_px": 15}, "size_px"),
        ({"crop_fraction": 0}, "crop_fraction"),
        ({"limit": 0}, "limit"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        build_request(**change)


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("size_px", [16, 1024], [15, 1025]),
        ("request_px", [64, 2048], [63, 2049]),
        ("crop_fraction", [0.01, 1], [0, 1.01]),
        ("limit", [1], [0]),
        ("max_connections", [1, 256], [0, 257]),
        ("min_stored_fraction", [0, 1], [-0.01, 1.01]),
        ("seed", [0], [-1]),
    ],
)
def test_numbers_have_limits(name: str, accepted: list[float], refused: list[float]) -> None:
    for value in accepted:
        assert getattr(build_request(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(ValidationError, match=name):
            build_request(**{name: value})


def test_a_name_that_cannot_be_a_folder_is_refused() -> None:
    with pytest.raises(DatasetNameError, match="'Sky' is not a name"):
        build_request(dataset="Sky")


def test_the_simulated_sky_has_a_limit_of_its_own() -> None:
    assert build_request(source="simulated", catalog=None).most_objects == SIMULATED_LIMIT == 600
    assert build_request(source="simulated", catalog=None, limit=7).most_objects == 7
    assert build_request(source="simulated").most_objects is None
    assert build_request(limit=7).most_objects == 7


@pytest.mark.parametrize(
    ("source", "release"), [("sdss", "dr17"), ("simulated", "dr17"), ("legacy", "ls-dr10"), ("archive", None)]
)
def test_each_source_has_its_release(source: str, release: str | None) -> None:
    assert build_request(source=source, images="folder").release_name == release
    assert build_request(source=source, images="folder", release="dr8").release_name == "dr8"


@pytest.mark.parametrize(("objects", "batch"), [(1, 16), (256, 16), (257, 17), (4096, 256), (100_000, 256)])
def test_batches_depend_on_the_number_of_objects_alone(tmp_path: Path, objects: int, batch: int) -> None:
    (tmp_path / "plan.json").write_text(f'{{"ask": {objects}}}')
    plan = GalaxyPlan(tmp_path, build_request())
    assert plan.batch_size == batch
    spans = list(plan.spans())
    assert [number for number, _, _ in spans] == list(range(len(spans)))
    assert [start for _, start, _ in spans] == list(range(0, objects, batch))
    assert spans[-1][2] == objects
    assert plan.unfinished_spans() == spans
    plan.staging.batch(0).mkdir(parents=True)
    assert plan.unfinished_spans() == spans[1:]


def test_a_plan_is_found_again_by_its_request_and_state(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(CATALOG, path)
    plan = plan_galaxies(workspace, build_request(), path)
    assert plan.asked["id"].to_pylist() == ["a"]
    assert (plan.work_items, plan.facts["objects"], plan.scheme) == (1, 4, None)
    assert not plan.is_finished()
    assert plan_galaxies(workspace, build_request(max_connections=2), path).folder == plan.folder
    other = plan_galaxies(workspace, build_request(field="fixed", scale_arcsec_per_px=0.4), path)
    assert other.folder != plan.folder
    assert other.asked["id"].to_pylist() == ["a", "b", "d"]


def test_an_empty_catalogue_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    pq.write_table(CATALOG.slice(0, 0), path)
    with pytest.raises(ValueError, match=r"empty\.parquet has no rows"):
        read_catalog(path)
