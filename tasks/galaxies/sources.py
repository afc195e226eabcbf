"""Where images and catalogue come from: a service, an archive, or the simulated sky."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from galaxy.catalogue.joining import read_mapping
from galaxy.images import cutouts
from galaxy.simulation.synthetic_sky import SKY_COUNT, synthetic_sky
from tasks.building.validate import require, validate_catalogue
from tasks.galaxies.collect import ArchiveSource, ServiceSource, Source, archive_members
from tasks.galaxies.ingest import catalog_path
from tasks.galaxies.plan import BuildPlan, BuildRequest
from tasks.http.rate_budget import is_loopback
from tasks.runtime.workspace import Workspace
from tasks.skyserver.app import sky_process
from tasks.store.files import write_table


@task(
    name="catalogue",
    description="Find the catalogue, ingesting or simulating it where it is not there yet",
    cache_policy=NO_CACHE,
)
def find_catalog(workspace: Workspace, request: BuildRequest) -> Path:
    """Return the catalogue Parquet of a build, once its columns are judged."""
    if request.catalog is not None:
        path = catalog_path(workspace, request.catalog, request.metadata)
    else:
        votes, metadata, _ = sky_tables(workspace, request.seed)
        path = catalog_path(workspace, str(votes), str(metadata))
    require(validate_catalogue(pq.read_table(path)))
    return path


def sky_tables(workspace: Workspace, seed: int) -> tuple[Path, Path, Path]:
    """Return votes, metadata and hidden truth of the simulated sky of that seed, written once."""
    folder = workspace.catalogs / f"sky-{seed}"
    paths = (folder / "votes.parquet", folder / "metadata.parquet", folder / "truth.parquet")
    if not all(path.exists() for path in paths):
        sky = synthetic_sky(SKY_COUNT, seed)
        for path, table in zip(paths, (sky.votes, sky.metadata, sky.truth), strict=True):
            write_table(path, table)
    return paths


def truth_path(workspace: Workspace, request: BuildRequest) -> Path | None:
    """Return the hidden truth that belongs to a build, if its sky is simulated."""
    if request.source != "simulated" or request.catalog is not None:
        return None
    return sky_tables(workspace, request.seed)[2]


@contextmanager
def open_source(workspace: Workspace, request: BuildRequest, plan: BuildPlan) -> Iterator[Source]:
    """Give the source of images; the simulated sky's service runs as long as the block."""
    if request.source == "archive":
        yield _archive(workspace, request, plan)
    elif request.source == "simulated" and request.service_url is None:
        if plan.work_items == 0:
            yield _service(workspace, request, "http://127.0.0.1")
            return
        with sky_process(seed=request.seed, count=SKY_COUNT) as url:
            yield _service(workspace, request, url)
    else:
        yield _service(workspace, request, request.service_url or cutouts.SERVICES[request.source])


def _service(workspace: Workspace, request: BuildRequest, url: str) -> ServiceSource:
    """Return the source that asks the cutout service at `url`."""
    host = urlsplit(url).hostname or ""
    if urlsplit(url).scheme not in ("http", "https") or not host:
        raise ValueError(f"service_url={url!r} is not an http or https address")
    return ServiceSource(
        request.source,
        f"simulated-sky-{request.seed}-{SKY_COUNT}" if request.source == "simulated" else url,
        url.rstrip("/"),
        str(request.release_name),
        request.request_px,
        None if is_loopback(host) else request.max_rate_per_s,
        workspace.raw,
        workspace.raw / "budget",
        request.retry_rejected,
    )


def _archive(workspace: Workspace, request: BuildRequest, plan: BuildPlan) -> ArchiveSource:
    """Return the source that reads a folder or zip, each object's image found by name.

    The catalogue's ``file`` column decides, else the mapping's or the catalogue's asset id, else the id.
    """
    path = Path(str(request.images)).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"images={path} does not exist")
    members = archive_members(path)
    assets: dict[str, str] = {}
    if request.mapping is not None:
        table = read_mapping(Path(request.mapping).expanduser())
        assets = dict(zip(table["id"].to_pylist(), map(str, table["asset_id"].to_pylist()), strict=True))
    found = {}
    columns = (plan.asked[name].to_pylist() for name in ("id", "file", "asset_id"))
    for sample_id, file, asset_id in zip(*columns, strict=True):
        stems = (file and Path(file).stem, assets.get(sample_id), asset_id, sample_id)
        member = next((members[str(stem)] for stem in stems if stem is not None and str(stem) in members), None)
        if member is not None:
            found[sample_id] = member
    return ArchiveSource(path, found, workspace.raw)
