"""Classify galaxies of a dataset, a folder or a zip with a registered model."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.predictions.predict import PredictionRequest, ScoresFormat
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.models.predict_galaxies import predict_galaxies as classify


@flow(
    name="predict-galaxies",
    description="Classify galaxies with a registered model, one row an image",
    **run_page("dataset", "images", "model"),
)
@by_subject
def predict_galaxies(
    dataset: Annotated[
        str | None,
        parameter_types.param("Dataset to classify: NAME, or NAME@3 for its third version; null: images, else sky"),
    ] = None,
    scheme: Annotated[
        str | None,
        parameter_types.param("Class scheme that completes an alias in model; null: the first scheme of the dataset"),
    ] = None,
    name: Annotated[
        str | None, parameter_types.param("Name of the scores file; null: that of the images and the model")
    ] = None,
    images: Annotated[
        str | None, parameter_types.param("Folder or zip file of images to classify instead of a dataset")
    ] = None,
    formats: Annotated[
        list[ScoresFormat], parameter_types.param("Formats of the scores: parquet, always written; fits; votable")
    ] = ["parquet"],  # noqa: B006  Prefect copies defaults, and reads them as JSON
    model: parameter_types.Model = "champion",
) -> dict[str, Any]:
    """Classify images and return counts."""
    request = PredictionRequest(model=model, dataset=dataset, images=images, scheme=scheme, name=name, formats=formats)
    summary = classify(Workspace.current(), request)
    show_summary(summary)
    return summary
