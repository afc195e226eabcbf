"""The vocabularies of the flows: stated once, and complete in every table built on them."""

import subprocess
import sys
from typing import get_args

import pytest

from expectations.split_shares import ALL, PART_SHARES, PartName
from flows.cli.parameter_types import param
from galaxy.images.cutouts import SERVICES
from realbogus.audits.flawed_injections import Flaw
from realbogus.subtraction.engine_names import SubtractionEngine
from realbogus.subtraction.subtract import SubtractionSettings
from tasks.candidates.choices import Treatment
from tasks.galaxies.choices import OptimizerName, SourceName
from tasks.learning.fits.fit_settings import Optimizer
from tasks.store.schema import GALAXY, REALBOGUS, Problem
from tasks.studies.choices import BenchHandling, InjectionFlaw
from tasks.studies.handlings import HANDLINGS
from tasks.tracking.database import EXPERIMENTS


def test_a_description_reaches_pydantic_and_the_form_of_prefect() -> None:
    field = param("Number of folds", ge=2)
    assert field.description == "Number of folds"
    assert field.json_schema_extra == {"description": "Number of folds"}
    assert [bound.ge for bound in field.metadata] == [2]


def test_each_problem_has_an_experiment() -> None:
    assert get_args(Problem) == (GALAXY, REALBOGUS) == EXPERIMENTS == ("galaxy", "realbogus")


def test_the_parts_of_a_split_and_all_can_be_chosen() -> None:
    assert get_args(PartName) == (*PART_SHARES, ALL)


def test_every_cutout_service_is_a_source() -> None:
    assert set(SERVICES) < set(get_args(SourceName))


def test_galaxies_take_a_subset_of_the_optimisers() -> None:
    assert set(get_args(OptimizerName)) < set(get_args(Optimizer))


def test_a_pair_is_subtracted_by_any_engine_that_has_a_name() -> None:
    for engine in get_args(SubtractionEngine):
        assert SubtractionSettings(engine=engine).engine == engine


def test_every_flaw_of_an_injection_can_be_chosen() -> None:
    assert get_args(InjectionFlaw) == ("none", *Flaw)


def test_the_label_noise_bench_compares_handlings_that_studies_know() -> None:
    assert set(get_args(BenchHandling)) < set(HANDLINGS)


def test_the_treatments_are_compared_by_their_own_flow() -> None:
    from flows.compare_treatments import TREATMENTS

    assert get_args(Treatment) == TREATMENTS == ("each", "mix", "all")


@pytest.mark.parametrize("library", ["tensorflow", "galsim", "great_expectations", "mlflow", "prefect", "astropy"])
def test_importing_the_vocabularies_imports_no_heavy_library(library: str) -> None:
    code = f"import flows.cli.parameter_types, sys; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
