"""The sources of a galaxy build: its catalogue, and its images from a service, an archive or the simulated sky."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from expectations.results import require
from galaxy.catalogue.identifiers import ROW_NUMBER
from galaxy.images import cutouts
from galaxy.simulation.synthetic_sky import SKY_COUNT, synthetic_sky
from tasks.archives.archive_index import index_archive
from tasks.building.validate import validate_catalogue
from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.building.collect import ArchiveSource, Received, ServiceSource, Source
from tasks.galaxies.building.plan import GalaxyPlan
from tasks.http.rate_budget import is_loopback
from tasks.ingest.catalogs import catalog_path
from tasks.ingest.joining import read_mapping
from tasks.runtime.secrets import require_no_secret
from tasks.runtime.workspace import Workspace
from tasks.skyserver.app import sky_process
from tasks.store.files import write_table
from tasks.store.places import raw_place


def find_catalog(workspace: Workspace, request: GalaxyBuildRequest) -> Path:
    """Return the catalogue Parquet of a build, ingested or simulated if it does not exist yet, and validated.

    Raises
    ------
    ValidationFailedError
        A column of the catalogue fails its expectations.
    """
    if request.catalog is not None:
        path = catalog_path(workspace, request.catalog, request.metadata, request.columns)
    else:
        votes, metadata, _ = sky_tables(workspace, request.seed)
        path = catalog_path(workspace, str(votes), str(metadata))
    require(validate_catalogue(pq.read_table(path)))
    return path


def sky_tables(workspace: Workspace, seed: int) -> tuple[Path, Path, Path]:
    """Return the tables of votes, metadata and truth of the simulated sky of a seed, written once."""
    folder = workspace.catalogs / f"sky-{seed}"
    paths = (folder / "votes.parquet", folder / "metadata.parquet", folder / "truth.parquet")
    if not all(path.exists() for path in paths):
        sky = synthetic_sky(SKY_COUNT, seed)
        for path, table in zip(paths, (sky.votes, sky.metadata, sky.truth), strict=True):
            write_table(path, table)
    return paths


def truth_path(workspace: Workspace, request: GalaxyBuildRequest) -> Path | None:
    """Return the table of truth if the build is of the simulated sky's own catalogue, else None."""
    if request.source != "simulated" or request.catalog is not None:
        return None
    return sky_tables(workspace, request.seed)[2]


@contextmanager
def open_source(workspace: Workspace, plan: GalaxyPlan) -> Iterator[Source]:
    """Yield the source of a plan's images; the simulated sky's service runs as long as the block.

    Raises
    ------
    ValueError
        ``service_url`` is no http address, or ``images`` is neither a folder nor a readable zip of images.
    FileNotFoundError
        ``images`` does not exist.
    """
    request = plan.request
    if request.source == "archive":
        yield archive_source(workspace, plan)
    elif request.source == "simulated" and request.service_url is None:
        if plan.work_items == 0:
            yield service_source(workspace, request, "http://127.0.0.1")
            return
        with sky_process(seed=request.seed, count=SKY_COUNT) as url:
            yield service_source(workspace, request, url)
    else:
        yield service_source(workspace, request, request.service_url or cutouts.SERVICES[request.source])


def service_source(workspace: Workspace, request: GalaxyBuildRequest, url: str) -> ServiceSource:
    """Return the source that requests cutouts from the service at `url`; a loopback address has no rate limit."""
    host = urlsplit(require_no_secret(url, "service_url")).hostname or ""
    if urlsplit(url).scheme not in ("http", "https") or not host:
        raise ValueError(f"service_url={url!r} is not an http or https address")
    return ServiceSource(
        request.source,
        f"simulated-sky-{request.seed}-{SKY_COUNT}" if request.source == "simulated" else url,
        url.rstrip("/"),
        str(request.release_name),
        request.request_px,
        None if is_loopback(host) else request.max_rate_per_s,
        raw_place(workspace),
        raw_place(workspace) / "budget",
        request.retry_rejected,
    )


def archive_source(workspace: Workspace, plan: GalaxyPlan) -> ArchiveSource:
    """Return the source that reads a folder or zip, with the image of each requested object that has one.

    An image is found by the catalogue's ``file`` (path, name or stem), else by the mapping's asset id, else by the
    catalogue's ``asset_id``, else by the object's id, unless that is a row's number beside one of them. A backfill that
    requests none does not need the archive.
    """
    request = plan.request
    path = Path(str(request.images)).expanduser()
    if plan.is_backfill and plan.work_items == 0:
        return ArchiveSource(path, {}, raw_place(workspace))
    if not path.exists():
        moved = "; the dataset was built from it: restore it, or give its place to build-galaxy-dataset"
        raise FileNotFoundError(f"images={path} does not exist{moved * plan.is_backfill}")
    index = index_archive(path)
    images, faults = {}, {}
    for sample_id, names in _names_of_images(plan):
        found = index.find(names)
        if found is not None and found.path is not None:
            images[sample_id] = found.path
        elif found is not None:
            faults[sample_id] = Received(reason=found.reason, parameters={"file": ", ".join(found.files)})
    return ArchiveSource(path, images, raw_place(workspace), faults)


def _names_of_images(plan: GalaxyPlan) -> Iterator[tuple[str, list[str]]]:
    """Yield the id of each requested object, and the names that its image may have, the surest first."""
    mapping, assets = plan.request.mapping, dict[str, str]()
    if mapping is not None:
        table = read_mapping(Path(mapping).expanduser())
        assets = dict(zip(table["id"].to_pylist(), map(str, table["asset_id"].to_pylist()), strict=True))
    columns = (plan.asked[name].to_pylist() for name in ("id", "file", "asset_id"))
    for sample_id, file, asset_id in zip(*columns, strict=True):
        names = [str(name) for name in (file, assets.get(sample_id), asset_id) if name not in (None, "")]
        if not names or not re.match(ROW_NUMBER, sample_id):
            names.append(sample_id)
        yield sample_id, names
