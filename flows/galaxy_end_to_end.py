"""Build a galaxy dataset, train on it, and evaluate on its held-out part."""

from typing import Any

from prefect import flow

from flows.build_galaxy_dataset import build_galaxy_dataset
from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from flows.evaluate_holdout import evaluate_holdout
from flows.train_galaxy import train_galaxy


@flow(
    name="galaxy-end-to-end",
    description="Build a galaxy dataset, train on it, evaluate on its held-out part",
    **run_page("dataset", "scheme", "network"),
)
@by_subject
def galaxy_end_to_end(
    dataset: parameter_types.NewDataset = "sky",
    catalog: parameter_types.Catalog = None,
    metadata: parameter_types.Metadata = None,
    columns: parameter_types.Columns = None,
    source: parameter_types.Source = "simulated",
    scheme: parameter_types.BuildScheme = "deck-3",
    limit: parameter_types.Limit = None,
    labels: parameter_types.Relabelling = None,
    images: parameter_types.Images = None,
    mapping: parameter_types.Mapping = None,
    size_px: parameter_types.SizePx = 128,
    request_px: parameter_types.RequestPx = 424,
    crop_fraction: parameter_types.CropFraction = 1.0,
    field: parameter_types.FieldRule = "petrosian",
    scale_arcsec_per_px: parameter_types.Scale = None,
    grey: parameter_types.Grey = False,
    service_url: parameter_types.ServiceUrl = None,
    release: parameter_types.Release = None,
    max_rate_per_s: parameter_types.MaxRate = 5.0,
    max_connections: parameter_types.MaxConnections = 16,
    network: parameter_types.Network = "cnn",
    preset: parameter_types.Preset = "tuned",
    weights: parameter_types.Weights = "none",
    methods: parameter_types.Methods = None,
    optimizer: parameter_types.Optimizer = None,
    epochs: parameter_types.Epochs = None,
    batch_size: parameter_types.BatchSize = None,
    device: parameter_types.Device = "auto",
    min_stored_fraction: parameter_types.MinStored = 0.0,
    allow_mixed: parameter_types.AllowMixed = False,
    retry_rejected: parameter_types.RetryRejected = False,
    verify_existing: parameter_types.VerifyExisting = False,
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Return the summaries of build, train and evaluate."""
    built = build_galaxy_dataset(
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
    trained = train_galaxy(
        dataset=dataset,
        scheme=built["scheme"],
        network=network,
        optimizer=optimizer,
        preset=preset,
        weights=weights,
        methods=methods,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        labels=labels,
        device=device,
        grey=grey,
    )
    evaluated = evaluate_holdout(model=trained["run_id"], dataset=dataset, scheme=built["scheme"])
    return {"build": built, "train": trained, "evaluate": evaluated}
