"""Compare predicted galaxy classes with a published catalogue."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.predictions.catalogue_comparison import ComparisonRequest
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.compare_catalogue import compare_catalogue as compare


@flow(
    name="compare-catalogue",
    description="Agreement of predictions with a published catalogue, by id or position",
    **run_page("name", "catalog", "predictions"),
)
@by_subject
def compare_catalogue(
    catalog: Annotated[
        str | None,
        parameter_types.param(
            "Published catalogue: table of any format that ingest-catalog reads, or its name; null: the truth of the "
            "simulated sky"
        ),
    ] = None,
    predictions: Annotated[
        str | None, parameter_types.param("Scores of predict-galaxies: name or file; null: the newest")
    ] = None,
    columns: Annotated[
        dict[str, str] | None,
        parameter_types.param(
            'Columns of the catalogue by role, such as {"class": "ML2classes"}; id, ra and dec where names do not tell'
        ),
    ] = None,
    classes: Annotated[
        dict[str, str] | None,
        parameter_types.param('Classes of the catalogue -> of the model, such as {"Elliptical": "E"}; null: the same'),
    ] = None,
    radius_arcsec: Annotated[
        float, parameter_types.param("Largest separation of an object that is found by position", gt=0, le=60)
    ] = 2.0,
    name: Annotated[
        str | None, parameter_types.param("Name of the report; null: that of predictions and catalogue")
    ] = None,
) -> dict[str, Any]:
    """Compare predictions with a catalogue and return the agreement."""
    request = ComparisonRequest(
        catalog=catalog,
        predictions=predictions,
        columns=columns or {},
        classes=classes or {},
        radius_arcsec=radius_arcsec,
        name=name,
    )
    summary = compare(Workspace.current(), request)
    show_summary(summary)
    return summary
