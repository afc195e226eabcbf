"""Every flow: its name, parameters with a description and a usable default, its deployment, the committed reference."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel

from flows.accept import accept
from flows.backfill_class_scheme import backfill_class_scheme
from flows.build_galaxy_dataset import build_galaxy_dataset
from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.check_giveaways import check_giveaways
from flows.cli import completion_table
from flows.cli.flow_catalogue import argument_names, flow_names, load_flow
from flows.cli.flow_reference import PAGE, flow_section, parameter_row, reference_page
from flows.cli.parameter_subjects import OTHER, SUBJECTS, subject_of
from flows.cli.parameters import Parameter, parameters_of, read_parameters
from flows.cli.run_page import run_name
from flows.compare_catalogue import compare_catalogue
from flows.compare_label_handling import compare_label_handling
from flows.compare_ladder import compare_ladder
from flows.compare_profiles import compare_profiles
from flows.compare_schemes import compare_schemes
from flows.compare_trainings import compare_trainings
from flows.compare_treatments import compare_treatments
from flows.compare_volumes import compare_volumes
from flows.cross_validate import cross_validate
from flows.diff_models import diff_models
from flows.evaluate_holdout import evaluate_holdout
from flows.export_dataset import export_dataset
from flows.export_model import export_model
from flows.galaxy_end_to_end import galaxy_end_to_end
from flows.housekeeping import housekeeping
from flows.ingest_catalog import ingest_catalog
from flows.label_noise_bench import label_noise_bench
from flows.make_night import make_night
from flows.nightly_retrain import nightly_retrain
from flows.predict_galaxies import predict_galaxies
from flows.promote import promote
from flows.publish_labels import publish_labels
from flows.relabel_and_retrain import relabel_and_retrain
from flows.relabel_and_retrain_galaxy import relabel_and_retrain_galaxy
from flows.rescore import rescore
from flows.rethreshold import rethreshold
from flows.rollback import rollback
from flows.score_night import score_night
from flows.score_visit import score_visit
from flows.show_decisions import show_decisions
from flows.stale import stale
from flows.survey_label_errors import survey_label_errors
from flows.train_galaxy import train_galaxy
from flows.train_realbogus import train_realbogus
from flows.transfer_to_survey import transfer_to_survey
from flows.verify import verify
from tasks.candidates.building.build_request import CandidateBuildRequest
from tasks.candidates.relabelling.relabel import CandidateRelabelRequest
from tasks.candidates.training import CandidateTrainRequest
from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.relabelling.relabel import GalaxyRelabelRequest
from tasks.galaxies.training import GalaxyTrainRequest
from tasks.night.request import NightRequest
from tasks.night.simulated import NightToMake
from tasks.nightly.request import NightlyRequest
from tasks.studies.giveaways import GiveawayRequest
from tasks.visits.request import VisitRequest

PROJECT = Path(__file__).parents[2]
FLOWS: dict[str, Flow[..., Any]] = {
    flow.name: flow
    for flow in (
        accept,
        backfill_class_scheme,
        build_galaxy_dataset,
        build_realbogus_dataset,
        check_giveaways,
        compare_catalogue,
        compare_label_handling,
        compare_ladder,
        compare_profiles,
        compare_schemes,
        compare_trainings,
        compare_treatments,
        compare_volumes,
        cross_validate,
        diff_models,
        evaluate_holdout,
        export_dataset,
        export_model,
        galaxy_end_to_end,
        housekeeping,
        ingest_catalog,
        label_noise_bench,
        make_night,
        nightly_retrain,
        predict_galaxies,
        promote,
        publish_labels,
        relabel_and_retrain,
        relabel_and_retrain_galaxy,
        rescore,
        rethreshold,
        rollback,
        score_night,
        score_visit,
        show_decisions,
        stale,
        survey_label_errors,
        train_galaxy,
        train_realbogus,
        transfer_to_survey,
        verify,
    )
}
every_flow = pytest.mark.parametrize("name", sorted(FLOWS))


def test_the_flows_are_those_that_are_listed_and_deployed() -> None:
    deployments = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert sorted(FLOWS) == flow_names() == sorted(entry["name"] for entry in deployments)
    for entry in deployments:
        function = FLOWS[entry["name"]].fn
        assert entry["entrypoint"] == f"{function.__module__}:{function.__name__}"
        assert entry["description"].endswith(".")


@every_flow
def test_a_flow_is_found_by_its_name(name: str) -> None:
    assert load_flow(name) is FLOWS[name]
    assert argument_names(name) == list(parameters_of(FLOWS[name].fn))


@every_flow
def test_a_flow_runs_without_parameters_and_describes_those_that_it_has(name: str) -> None:
    parameters = parameters_of(FLOWS[name].fn)
    assert [parameter.name for parameter in parameters.values() if parameter.required] == []
    assert [parameter.name for parameter in parameters.values() if not parameter.description] == []
    assert FLOWS[name].validate_parameters({}) == {key: parameter.default for key, parameter in parameters.items()}


@every_flow
def test_the_form_of_a_flow_is_grouped_by_subject(name: str) -> None:
    schema = parameter_schema(FLOWS[name].fn).properties
    assert {key: entry["title"] for key, entry in schema.items()} == {
        key: f"{subject_of(key)}: {key}" for key in schema
    }
    places = [
        [*SUBJECTS, OTHER].index(subject_of(key)) for key in sorted(schema, key=lambda key: schema[key]["position"])
    ]
    assert places == sorted(places)


def test_every_subject_holds_parameters_that_some_flow_has_and_none_twice() -> None:
    listed = [name for names in SUBJECTS.values() for name in names]
    assert sorted(listed) == sorted({key for flow in FLOWS.values() for key in parameters_of(flow.fn)})


@every_flow
def test_a_run_is_named_by_what_it_works_on(name: str) -> None:
    made: Any = FLOWS[name].flow_run_name
    [named] = made.args
    parameters = {key: parameter.default for key, parameter in parameters_of(FLOWS[name].fn).items()}
    assert set(named) & {"dataset", "name", "night", "model", "budget_gb"}
    assert {"dataset", "network", "model"} & set(parameters) <= set(named)
    assert run_name(name, named, parameters | {named[0]: "chosen"}).split()[0] == "chosen"


@every_flow
def test_a_flow_says_what_it_does_and_returns(name: str) -> None:
    assert FLOWS[name].description
    assert FLOWS[name].fn.__doc__


@pytest.mark.parametrize(
    ("flow", "request_model"),
    [
        (build_galaxy_dataset, GalaxyBuildRequest),
        (build_realbogus_dataset, CandidateBuildRequest),
        (check_giveaways, GiveawayRequest),
        (make_night, NightToMake),
        (nightly_retrain, NightlyRequest),
        (relabel_and_retrain, CandidateRelabelRequest),
        (relabel_and_retrain_galaxy, GalaxyRelabelRequest),
        (score_night, NightRequest),
        (score_visit, VisitRequest),
        (train_galaxy, GalaxyTrainRequest),
        (train_realbogus, CandidateTrainRequest),
    ],
)
def test_the_defaults_of_a_flow_are_a_valid_request(flow: Flow[..., Any], request_model: type[BaseModel]) -> None:
    defaults = {name: parameter.default for name, parameter in parameters_of(flow.fn).items()}
    request = request_model(**defaults)
    if "methods" in defaults:
        defaults["methods"] = request_model.model_fields["methods"].default  # null: none
    assert {name: getattr(request, name) for name in defaults} == defaults


def test_the_whole_chain_takes_the_parameters_of_its_parts_with_their_defaults() -> None:
    chain = parameters_of(galaxy_end_to_end.fn)
    parts = parameters_of(build_galaxy_dataset.fn) | parameters_of(train_galaxy.fn)
    assert set(chain) == set(parts)
    for name in set(parts) - {"dataset", "scheme"}:
        assert (chain[name].annotation, chain[name].default) == (parts[name].annotation, parts[name].default)
    for name in ("dataset", "scheme"):
        assert chain[name] == parameters_of(build_galaxy_dataset.fn)[name]


@every_flow
def test_the_reference_has_values_that_the_command_reads_back(name: str) -> None:
    section = flow_section(name, "Purpose.")
    assert section.startswith(f"## {name}\n\nPurpose. [Summary](summaries.md#{name})\n")
    for key, parameter in parameters_of(FLOWS[name].fn).items():
        [row] = [line for line in section.splitlines() if line.startswith(f"| `{key}` | ")]
        written = row.split("`")[3]
        assert read_parameters(FLOWS[name].fn, [f"{key}={written}"]) == {key: parameter.default}


def test_a_bar_in_a_description_does_not_end_its_cell() -> None:
    assert parameter_row(Parameter("size", int, 3, "a | b")) == "| `size` | whole number | `3` | a \\| b |"


def test_the_committed_reference_is_the_generated_one() -> None:
    assert (PROJECT / PAGE).read_text(encoding="utf-8") == reference_page(PROJECT)


def test_the_committed_table_of_completion_is_that_of_the_flows() -> None:
    table = completion_table.make_table()
    assert sorted(table) == sorted([*FLOWS, completion_table.LABEL])
    assert completion_table.PATH.read_text(encoding="utf-8") == completion_table.written_table(table)
    assert completion_table.read_table() == table
