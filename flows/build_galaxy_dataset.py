"""Build a galaxy dataset: catalogue, scheme, cutouts, validation, split, publish."""

from functools import partial
from typing import Any

from prefect import flow

from flows import described
from tasks.cluster import cluster
from tasks.stages.collect import collect
from tasks.stages.galaxy_harvest import gather_harvest
from tasks.stages.galaxy_plan import BuildRequest, plan_build
from tasks.stages.galaxy_sources import find_catalog, open_source, truth_path
from tasks.stages.publish import finished_summary, publish_build
from tasks.stages.show import show_build
from tasks.store.locks import one_builder
from tasks.workspace import Workspace


@flow(name="build-galaxy-dataset", description="From a catalogue to a validated, split image dataset in Zarr")
def build_galaxy_dataset(
    dataset: described.NewDataset = "sky",
    catalog: described.Catalog = None,
    metadata: described.Metadata = None,
    source: described.Source = "simulated",
    images: described.Images = None,
    mapping: described.Mapping = None,
    scheme: described.BuildScheme = "deck-3",
    size_px: described.SizePx = 128,
    request_px: described.RequestPx = 424,
    crop_fraction: described.CropFraction = 1.0,
    field: described.FieldRule = "petrosian",
    scale_arcsec_per_px: described.Scale = None,
    limit: described.Limit = None,
    service_url: described.ServiceUrl = None,
    release: described.Release = None,
    max_rate_per_s: described.MaxRate = 5.0,
    max_connections: described.MaxConnections = 16,
    min_stored_fraction: described.MinStored = 0.0,
    allow_mixed: described.AllowMixed = False,
    retry_rejected: described.RetryRejected = False,
    seed: described.Seed = 0,
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
            harvest = partial(gather_harvest, workspace, plan, truth_path(workspace, request))
            summary = publish_build(workspace, harvest, executor, counts["requests"])
    show_build(workspace, plan, summary)
    return summary
