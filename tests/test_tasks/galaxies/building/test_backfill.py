"""Backfills: the plan and the account balance, pixels and split stay, order and a kill change nothing."""

import hashlib
import json
import multiprocessing
import shutil
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from galaxy.catalogue.errors import CatalogueError
from galaxy.labels.schemes import SchemeError
from tasks.galaxies.building.backfill import (
    NOT_IN_CATALOGUE,
    UNLABELLED_BEFORE,
    estimate_seconds,
    outline_backfill,
    recorded_build,
    summarise_plan,
)
from tasks.ingest.catalogs import ingest_into_workspace
from tasks.runtime.workspace import Workspace
from tasks.skyserver.http_server import SkyServer
from tasks.skyserver.images import ReplayedFiles
from tasks.store.dataset import Dataset
from tasks.store.errors import DatasetNotFoundError, StoreError
from tests.small_backfills import (
    DATASET,
    KINDS,
    archive_request,
    backfill,
    backfill_killed_at,
    build,
    plan_for,
    write_archive,
    write_scheme,
)
from tests.small_galaxies import build_request

COUNT = 48


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "archive", COUNT)


@pytest.fixture
def schemes(tmp_path: Path) -> dict[str, str]:
    """The dataset is built for the first; each of the others needs a kind that the first leaves out."""
    kinds = {"first": KINDS[:2], "edges": (KINDS[0], KINDS[3]), "winding": KINDS[1:3], "fewer": KINDS[:2]}
    return {name: write_scheme(tmp_path, name, pair) for name, pair in kinds.items()}


@pytest.fixture
def dataset(workspace: Workspace, table: Path, schemes: dict[str, str]) -> Dataset:
    return build(workspace, archive_request(table, schemes["first"]))


def shards(dataset: Dataset) -> dict[str, str]:
    """The sha256 of every shard by its path."""
    folder = dataset.path.parents[1] / "pixels.zarr"
    files = (path for path in folder.rglob("c/**/*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def by_id(table: pa.Table | None, *names: str) -> dict[str, Any]:
    assert table is not None
    return {row["id"]: tuple(row[name] for name in names) for row in table.to_pylist()}


def test_what_the_scheme_needs_is_fetched_and_what_it_drops_stays(
    workspace: Workspace, dataset: Dataset, schemes: dict[str, str]
) -> None:
    before = shards(dataset)
    outline = outline_backfill(plan_for(workspace, schemes["edges"]))
    dropped = {"scheme:clockwise": 12, "scheme:anticlockwise": 12}
    expected = {"objects": COUNT, "to_fetch": 12, "to_label": 24, "to_drop": dropped}
    assert {name: outline[name] for name in expected} == expected
    assert outline["classes"] == {"elliptical": 12, "edge_on": 12}
    assert Dataset.open(workspace, DATASET).version == 1
    assert not (workspace.datasets / DATASET / "staging").exists() or not list(
        (workspace.datasets / DATASET / "staging").iterdir()
    )
    summary = backfill(workspace, schemes["edges"])
    after = Dataset.open(workspace, DATASET)
    counts = {"version": 2, "objects": COUNT, "fetched": 12, "labelled": 24, "dropped": dropped, "plan": outline}
    assert {name: summary[name] for name in counts} == counts
    assert {name: digest for name, digest in shards(after).items() if name in before} == before
    assert len(shards(after)) == len(before) + 1
    assert after.manifest["stored"] == 36
    assert by_id(after.labels("first"), "label") == by_id(dataset.labels("first"), "label")
    labels = by_id(after.labels("edges"), "label")
    assert [labels[f"g{number:03d}"][0] for number in range(4)] == ["elliptical", None, None, "edge_on"]
    rows, old = (by_id(version.samples(), *version.samples().column_names) for version in (after, dataset))
    changed = {name for name in old if rows[name] != old[name]}
    assert changed == {f"g{number:03d}" for number in range(3, COUNT, 4)}
    parts, drawn = (by_id(version.split(), "group", "part") for version in (after, dataset))
    assert drawn.items() <= parts.items()
    assert (after.path / "validation" / "validation.json").exists()
    assert after.manifest["parameters"] == dataset.manifest["parameters"]
    assert recorded_build(after).version == 1


def test_a_finished_backfill_does_nothing_and_fetches_nothing(
    workspace: Workspace, dataset: Dataset, schemes: dict[str, str]
) -> None:
    first = backfill(workspace, schemes["edges"])
    again = backfill(workspace, schemes["edges"])
    same = ("version", "objects", "labelled", "dropped", "classes")
    assert {name: again[name] for name in same} == {name: first[name] for name in same}
    assert again["fetched"] == again["plan"]["to_fetch"] == 0
    # The scheme of the build is there already.
    assert backfill(workspace, schemes["first"])["version"] == 2


def test_with_nothing_to_fetch_the_images_are_not_needed(
    workspace: Workspace, dataset: Dataset, table: Path, schemes: dict[str, str]
) -> None:
    before = shards(dataset)
    shutil.rmtree(table.parent / "images")
    table.unlink()
    summary = backfill(workspace, schemes["fewer"])
    assert (summary["version"], summary["fetched"], summary["labelled"]) == (2, 0, 24)
    assert shards(Dataset.open(workspace, DATASET)) == before
    with pytest.raises(FileNotFoundError, match=r"images=.* does not exist; .* build-galaxy-dataset"):
        backfill(workspace, schemes["edges"])
    assert Dataset.open(workspace, DATASET).version == 2


def test_a_service_is_asked_only_for_what_the_store_lacks(
    workspace: Workspace, table: Path, tmp_path: Path, schemes: dict[str, str]
) -> None:
    frame = {"field": "fixed", "scale_arcsec_per_px": 0.2, "request_px": 64, "max_rate_per_s": None}
    served = tmp_path / "served"
    served.mkdir()
    places = [line.split(",")[:3] for line in table.read_text().splitlines()[1:]]
    for name, *_ in places:
        Image.open(table.parent / "images" / f"{name}.png").resize((64, 64)).save(served / f"{name}.jpg")
    positions = tmp_path / "positions.csv"
    positions.write_text("file,ra_deg,dec_deg\n" + "".join(f"{name}.jpg,{ra},{dec}\n" for name, ra, dec in places))
    with SkyServer(ReplayedFiles(served, positions)) as server:
        service = {"source": "sdss", "images": None, "service_url": server.url}
        first = build(workspace, archive_request(table, schemes["first"], **service, **frame))
        assert server.tally.report()["requests"] == first.manifest["stored"] == 24
        assert backfill(workspace, schemes["edges"])["fetched"] == 12
        assert backfill(workspace, schemes["fewer"])["fetched"] == 0
        report = server.tally.report()
    assert (report["requests"], report["positions"]) == (36, 36)


def copied(workspace: Workspace, folder: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(workspace.root, folder, symlinks=True)))


@pytest.mark.parametrize("linked", [False, True], ids=["apart", "neighbours"])
def test_two_backfills_in_either_order_give_the_same_digest(
    workspace: Workspace, tmp_path: Path, schemes: dict[str, str], linked: bool
) -> None:
    """Neighbours: g002 and g006 of `winding` are too far apart to be linked but by g003 or g007 of `edges`."""
    chain = {2: 0.0, 3: 50.0, 6: 100.0, 7: 150.0, 10: 200.0}
    places = {number: (300.0, 50 + arcsec / 3600) for number, arcsec in chain.items()} if linked else {}
    build(workspace, archive_request(write_archive(tmp_path / "archive", COUNT, places), schemes["first"]))
    digests, groups = [], []
    for order in (("edges", "winding"), ("winding", "edges")):
        here = copied(workspace, tmp_path / "-".join(order))
        fetched = [backfill(here, schemes[name])["fetched"] for name in order]
        assert fetched == [12, 12]
        dataset = Dataset.open(here, DATASET)
        assert dataset.version == 3
        digests.append(dataset.digest)
        groups.append(by_id(dataset.split(), "group", "part"))
    assert digests[0] == digests[1]
    assert groups[0] == groups[1]
    assert len({groups[0][f"g{number:03d}"][0] for number in chain}) == (1 if linked else len(chain))


def test_killed_at_any_point_the_old_version_is_whole_and_the_last_run_finishes(
    workspace: Workspace, dataset: Dataset, tmp_path: Path, schemes: dict[str, str]
) -> None:
    """Each run gets one file further than the one before it, until a run is not killed."""
    undisturbed = copied(workspace, tmp_path / "undisturbed")
    backfill(undisturbed, schemes["edges"])
    before = shards(dataset)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.small_backfills", "expectations.runner"])
    for step in range(99):
        process = processes.Process(target=backfill_killed_at, args=(workspace, schemes["edges"], step))
        process.start()
        process.join()
        left = Dataset.open(workspace, DATASET)
        assert {name: digest for name, digest in shards(left).items() if name in before} == before
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        assert (left.version, left.digest) == (1, dataset.digest)
    assert step >= 5
    assert left.version == 2
    assert left.digest == Dataset.open(undisturbed, DATASET).digest


def test_a_table_of_labels_alone_takes_places_from_the_ledger(
    workspace: Workspace, dataset: Dataset, tmp_path: Path
) -> None:
    own = tmp_path / "own.csv"
    own.write_text("id,look\n" + "".join(f"g{number:03d},{'ab'[number % 2]}\n" for number in range(0, COUNT, 2)))
    rules = ", ".join(f'{{label = "{text}", when = {{text = "{text}"}}}}' for text in ("a", "b"))
    scheme = tmp_path / "look.toml"
    scheme.write_text(
        'name = "look"\ndescription = ""\ncolumns = ["look"]\ngrammar = "text"\n'
        f'classes = ["a", "b"]\nrules = [{rules}]\n'
    )
    with pytest.raises(SchemeError, match=r"no object of catalogue own-.* is of class 'b' of scheme look.*'a' \(24\)"):
        plan_for(workspace, str(scheme), str(own))
    own.write_text("id,look\n" + "".join(f"g{number:03d},{'ab'[number % 2]}\n" for number in range(20)))
    summary = backfill(workspace, str(scheme), str(own))
    assert summary["classes"] == {"a": 10, "b": 10}
    assert summary["fetched"] == 10
    assert summary["dropped"] == {NOT_IN_CATALOGUE: 14}
    assert summary["objects"] == summary["labelled"] + sum(summary["dropped"].values())
    newcomer = next(row for row in Dataset.open(workspace, DATASET).samples().to_pylist() if row["id"] == "g003")
    assert (newcomer["status"], newcomer["ra_deg"]) == ("stored", 3.0)


def test_a_published_label_stays_even_if_it_is_empty(
    workspace: Workspace, dataset: Dataset, table: Path, schemes: dict[str, str]
) -> None:
    backfill(workspace, schemes["edges"])
    table.write_text(table.read_text().replace("clockwise", "elliptical", 1).replace("elliptical", "clockwise", 1))
    summary = backfill(workspace, schemes["edges"], str(table))
    assert (summary["version"], summary["labelled"]) == (2, 24)
    assert summary["dropped"] == {"scheme:anticlockwise": 12, "scheme:clockwise": 11, UNLABELLED_BEFORE: 1}


def test_the_first_scheme_of_bare_pixels_draws_the_split(
    workspace: Workspace, table: Path, schemes: dict[str, str]
) -> None:
    assert build(workspace, archive_request(table, "none")).split() is None
    summary = backfill(workspace, schemes["first"])
    assert (summary["fetched"], summary["labelled"]) == (0, 24)
    drawn = by_id(Dataset.open(workspace, DATASET).split(), "group", "part")
    assert len(drawn) == COUNT
    backfill(workspace, schemes["edges"])
    assert by_id(Dataset.open(workspace, DATASET).split(), "group", "part") == drawn


def test_a_limit_of_the_dataset_holds(workspace: Workspace, table: Path, schemes: dict[str, str]) -> None:
    built = build(workspace, archive_request(table, schemes["first"], limit=30))
    outline = outline_backfill(plan_for(workspace, schemes["edges"]))
    assert outline["objects"] == 30 == built.manifest["asked"]
    more = outline_backfill(plan_for(workspace, schemes["edges"], str(table)))
    assert more == outline


def test_bad_requests_are_refused_by_name_and_leave_the_dataset(
    workspace: Workspace, dataset: Dataset, table: Path, tmp_path: Path, schemes: dict[str, str]
) -> None:
    other, nothing = tmp_path / "other", tmp_path / "nothing"
    other.mkdir()
    nothing.mkdir()
    renamed = write_scheme(other, "first", (KINDS[0], KINDS[3]))
    typo = write_scheme(other, "typo", KINDS[:2], clockwise="clokwise")
    empty = write_scheme(nothing, "empty", ("star", "comet"))
    strange = tmp_path / "strange.csv"
    strange.write_text("id,gz1_majority\nx1,elliptical\nx2,clockwise\n")
    for scheme, catalog, kind, message in [
        (renamed, None, StoreError, r"another scheme of the name 'first'.*another name"),
        (typo, None, SchemeError, r"no object of .* is of class 'clockwise' of scheme typo.*'clockwise' \(12\)"),
        (empty, None, SchemeError, r"scheme empty leaves out all 48 requested objects.*scheme:elliptical 12"),
        ("deck-4", None, SchemeError, "unknown scheme 'deck-4'"),
        ("none", None, ValueError, "scheme=none labels nothing"),
        ("deck-3", None, CatalogueError, "scheme deck-3 needs a column"),
        (schemes["edges"], str(strange), CatalogueError, r"none of the 2 objects.*'x1' there and 'g000' here"),
    ]:
        with pytest.raises(kind, match=message):
            plan_for(workspace, scheme, catalog)
    for change, message in [
        ({"problem": "realbogus"}, "is of problem 'realbogus'"),
        ({"parameters": {}}, "no parameters"),
    ]:
        manifest = dataset.manifest | change
        (dataset.path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(StoreError, match=message):
            plan_for(workspace, schemes["edges"])
    with pytest.raises(DatasetNotFoundError, match=r"no dataset 'five'.*four"):
        plan_for(workspace, schemes["edges"], dataset="five")
    assert Dataset.open(workspace, DATASET).version == 1


def test_a_catalogue_that_was_ingested_again_is_no_longer_the_datasets(
    workspace: Workspace, table: Path, schemes: dict[str, str]
) -> None:
    ingest_into_workspace(workspace, "kinds", [str(table)], None)
    build(workspace, archive_request(table, schemes["first"], catalog="kinds"))
    table.write_text(table.read_text().replace("edge_on", "elliptical", 1))
    ingest_into_workspace(workspace, "kinds", [str(table)], None)
    with pytest.raises(StoreError, match=r"kinds\.parquet is not what dataset 'four' was built from.*catalog=kinds"):
        plan_for(workspace, schemes["edges"])
    assert outline_backfill(plan_for(workspace, schemes["edges"], "kinds"))["to_fetch"] == 12
    (workspace.catalogs / "kinds.parquet").unlink()
    with pytest.raises(StoreError, match=r"kinds\.parquet, from which dataset 'four' was built, is not in"):
        plan_for(workspace, schemes["edges"])


def test_the_estimate_of_a_service_follows_its_rate() -> None:
    slow, fast = (
        estimate_seconds(build_request(max_rate_per_s=rate), 1000, 500) - estimate_seconds(build_request(), 1000, 0)
        for rate in (2.0, 5.0)
    )
    assert slow - fast == pytest.approx(500 / 2 - 500 / 5)
    local = build_request(service_url="http://127.0.0.1:1", max_rate_per_s=0.001)
    assert estimate_seconds(local, 1000, 500) < fast


def test_only_a_plan_is_a_summary_of_nothing_done(
    workspace: Workspace, dataset: Dataset, schemes: dict[str, str]
) -> None:
    planned = plan_for(workspace, schemes["edges"])
    outline = outline_backfill(planned)
    summary = summarise_plan(planned, outline)
    expected = {"dataset": DATASET, "version": 1, "scheme": "edges", "fetched": 0, "labelled": 0, "dropped": {}}
    assert {name: summary[name] for name in expected} == expected
    assert summary["plan"] == outline
