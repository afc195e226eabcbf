"""Build a galaxy dataset: catalogue, scheme, cutouts, validation, split, publish."""

from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from tasks.cluster import cluster
from tasks.stages.collect import collect
from tasks.stages.plan import BuildRequest, plan_build
from tasks.stages.publish import finished_summary, publish_build
from tasks.stages.show import show_build
from tasks.stages.sources import find_catalog, open_source, truth_path
from tasks.store.locks import one_builder
from tasks.workspace import Workspace


@flow(name="build-galaxy-dataset", description="From a catalogue to a validated, split image dataset in Zarr")
def build_galaxy_dataset(
    dataset: Annotated[str, Field(description="Name of the dataset; an existing one grows")] = "sky",
    catalog: Annotated[
        str | None,
        Field(description="Table of galaxies: an ingested name, a file, or an address; empty for the simulated sky's"),
    ] = None,
    metadata: Annotated[
        str | None, Field(description="Table with redshifts and radii, joined to the catalogue, where it lacks them")
    ] = None,
    source: Annotated[
        Literal["sdss", "legacy", "archive", "simulated"], Field(description="Where images come from")
    ] = "simulated",
    images: Annotated[str | None, Field(description="Folder or zip of images, for source=archive")] = None,
    mapping: Annotated[
        str | None, Field(description="Table of object id and asset id, for an archive named by asset id")
    ] = None,
    scheme: Annotated[
        str, Field(description="Class scheme: a shipped name, a file, or 'none' for pixels without labels")
    ] = "deck-3",
    size_px: Annotated[int, Field(description="Side of a stored sample, pixels")] = 128,
    request_px: Annotated[int, Field(description="Side of the image asked of a service, pixels")] = 424,
    crop_fraction: Annotated[float, Field(description="Share of the image kept, about its centre")] = 1.0,
    field: Annotated[
        Literal["petrosian", "redshift", "fixed"],
        Field(description="Frame: 8.48 Petrosian R90, a fixed size in kpc, or a fixed scale"),
    ] = "petrosian",
    scale_arcsec_per_px: Annotated[float | None, Field(description="Scale for field=fixed, arcsec per pixel")] = None,
    limit: Annotated[
        int | None,
        Field(description="Take so many objects, by a hash of id and seed; empty: 600 of the simulated sky, else all"),
    ] = None,
    service_url: Annotated[
        str | None, Field(description="Address of the cutout service, if not the official one")
    ] = None,
    release: Annotated[
        str | None, Field(description="Release or layer; empty: dr17 for sdss, ls-dr10 for legacy")
    ] = None,
    max_rate_per_s: Annotated[
        float | None, Field(description="Requests a second, shared by all workers and flows; no limit on loopback")
    ] = 5.0,
    max_connections: Annotated[int, Field(description="Connections at once, shared by all workers")] = 16,
    min_stored_fraction: Annotated[float, Field(description="Stop if a smaller share of the objects is left")] = 0.0,
    allow_mixed: Annotated[bool, Field(description="Let another source, release or field in")] = False,
    retry_rejected: Annotated[bool, Field(description="Ask again for what was rejected for good")] = False,
    seed: Annotated[int, Field(description="Seed of the limit, the split and the simulated sky")] = 0,
) -> dict[str, Any]:
    """Build or grow a galaxy dataset and return its account."""
    request = BuildRequest(**locals())
    workspace = Workspace.current()
    with one_builder(workspace.datasets / dataset):
        table = find_catalog(workspace, request)
        plan = plan_build(workspace, request, table)
        if plan.is_finished():
            return finished_summary(workspace, plan)
        with cluster(plan.facts["ask"]) as executor:
            with open_source(workspace, request, plan) as service:
                counts = collect(plan, service, executor, max_connections)
            summary = publish_build(workspace, plan, executor, counts, truth_path(workspace, request))
    show_build(workspace, plan, summary)
    return summary
