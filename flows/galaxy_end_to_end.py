"""The whole galaxy chain: build a dataset, train on it, evaluate on its holdout."""

import inspect
from typing import Any

from prefect import flow

from flows import described
from flows.build_galaxy_dataset import build_galaxy_dataset
from flows.evaluate_holdout import evaluate_holdout
from flows.train_galaxy import train_galaxy


@flow(name="galaxy-end-to-end", description="Build a galaxy dataset, train on it, evaluate on its holdout")
def galaxy_end_to_end(
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
    network: described.Network = "cnn",
    optimizer: described.Optimizer = "adam",
    preset: described.Preset = "tuned",
    epochs: described.Epochs = None,
    batch_size: described.BatchSize = None,
    device: described.Device = "auto",
    grey: described.Grey = False,
    seed: described.Seed = 0,
) -> dict[str, Any]:
    """Return the summaries of build, train and evaluate."""
    given = locals()
    build, train = (
        {name: given[name] for name in inspect.signature(stage.fn).parameters}
        for stage in (build_galaxy_dataset, train_galaxy)
    )
    built = build_galaxy_dataset(**build)
    trained = train_galaxy(**train | {"scheme": built["scheme"]})
    evaluated = evaluate_holdout(model=trained["run_id"], dataset=dataset, scheme=built["scheme"])
    return {"build": built, "train": trained, "evaluate": evaluated}
