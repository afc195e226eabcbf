"""Build a galaxy dataset: catalogue, scheme, cutouts, validation, split, publish."""

from functools import partial
from typing import Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.building.builder_turn import builder_turn
from tasks.building.publish import finished_summary
from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.building.harvest import gather_harvest
from tasks.galaxies.building.sources import open_source, truth_path
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.build_galaxies import collect_cutouts, find_catalog, plan_galaxies, show_build
from tasks.stages.datasets.publish import publish_build
from tasks.stages.datasets.verify import verify_published


@flow(
    name="build-galaxy-dataset",
    description="Build a validated, split image dataset from a catalogue",
    **run_page("dataset", "scheme", "source"),
)
@by_subject
def build_galaxy_dataset(
    dataset: parameter_types.NewDataset = "sky",
    catalog: parameter_types.Catalog = None,
    metadata: parameter_types.Metadata = None,
    columns: parameter_types.Columns = None,
    source: parameter_types.Source = "simulated",
    scheme: parameter_types.BuildScheme = "deck-3",
    limit: parameter_types.Limit = None,
    images: parameter_types.Images = None,
    mapping: parameter_types.Mapping = None,
    size_px: parameter_types.SizePx = 128,
    request_px: parameter_types.RequestPx = 424,
    crop_fraction: parameter_types.CropFraction = 1.0,
    field: parameter_types.FieldRule = "petrosian",
    scale_arcsec_per_px: parameter_types.Scale = None,
    service_url: parameter_types.ServiceUrl = None,
    release: parameter_types.Release = None,
    max_rate_per_s: parameter_types.MaxRate = 5.0,
    max_connections: parameter_types.MaxConnections = 16,
    min_stored_fraction: parameter_types.MinStored = 0.0,
    allow_mixed: parameter_types.AllowMixed = False,
    retry_rejected: parameter_types.RetryRejected = False,
    verify_existing: parameter_types.VerifyExisting = False,
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Build a galaxy dataset or add to it; return the counts of requested, rejected and stored samples."""
    request = GalaxyBuildRequest(
        dataset=dataset,
        catalog=catalog,
        metadata=metadata,
        columns=columns,
        source=source,
        images=images,
        mapping=mapping,
        scheme=scheme,
        size_px=size_px,
        request_px=request_px,
        crop_fraction=crop_fraction,
        field=field,
        scale_arcsec_per_px=scale_arcsec_per_px,
        limit=limit,
        service_url=service_url,
        release=release,
        max_rate_per_s=max_rate_per_s,
        max_connections=max_connections,
        min_stored_fraction=min_stored_fraction,
        allow_mixed=allow_mixed,
        retry_rejected=retry_rejected,
        verify_existing=verify_existing,
        seed=seed,
    )
    workspace = Workspace.current()
    with builder_turn(workspace, dataset):
        if request.verify_existing:
            verify_published(workspace, dataset)
        table = find_catalog(workspace, request)
        plan = plan_galaxies(workspace, request, table)
        if plan.is_finished():
            return finished_summary(workspace, plan) | plan.columns
        with cluster(plan.work_items) as executor:
            with open_source(workspace, plan) as service:
                counts = collect_cutouts(plan, service, executor, max_connections)
            harvest = partial(gather_harvest, workspace, plan, truth_path(workspace, request))
            summary = publish_build(workspace, harvest, executor, counts["requests"]) | plan.columns
    show_build(workspace, plan, summary)
    return summary
