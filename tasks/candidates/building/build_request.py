"""The parameters of a real/bogus build, and which of them go together."""

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.inject import InjectionSettings
from realbogus.simulation.night_conditions import NightConditions
from realbogus.simulation.survey import SurveySettings
from realbogus.subtraction.engine_names import SubtractionEngine
from realbogus.subtraction.subtract import SubtractionSettings
from tasks.candidates.building.known_objects import KNOWN_PREFIX
from tasks.candidates.choices import Balance, SourceName, WithoutEpoch
from tasks.store.schema import check_name

VISITS_A_NIGHT = 1000
KNOWN_OF_SIMULATION = "simulated"
"""Value of known_objects: the objects that other surveys would list of the simulated sky."""
MOST_ROUNDS = 12
"""How often at most transients are injected into a chip-visit with balance=stored."""
TABLE_SOURCES = ("triplets", "zenodo")
"""Sources whose rows stand in a table of their own."""


class CandidateBuildRequest(BaseModel):
    """The parameters of `build-realbogus-dataset`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    source: SourceName
    path: str | None
    night: int = Field(ge=0)
    stamp_px: int = Field(ge=11, le=127)
    label_column: str | None
    group_column: str | None
    galaxy_catalog: str | None
    known_objects: str | None
    known_without_epoch: WithoutEpoch = "refuse"
    columns: dict[str, str] | None = None
    conditions: NightConditions | None = None
    galaxy_fraction: float = Field(ge=0, le=1)
    balance: Balance
    variable_fraction: float = Field(default=0.0, ge=0, le=0.4)
    randomisation: float = Field(default=0.0, ge=0, le=1)
    injections_per_visit: int = Field(ge=0, le=10_000)
    injection_rounds: int = Field(default=1, ge=1, le=20)
    chips: int = Field(ge=1)
    visits: int = Field(ge=1, le=VISITS_A_NIGHT)
    revisits: int = Field(ge=1)
    scene_transients: float = Field(ge=0)
    diversity: float = Field(ge=0)
    seeing_arcsec: float = Field(gt=0)
    engine: SubtractionEngine
    threshold_sigma: float = Field(gt=0)
    limit: int | None = Field(ge=1)
    verify_existing: bool = Field(default=False, exclude=True)  # no part of what is built, nor of its digest
    seed: int = Field(ge=0)

    @field_validator("conditions")
    @classmethod
    def _ordinary_ones_are_none(cls, conditions: NightConditions | None) -> NightConditions | None:
        return None if conditions is None or conditions.is_ordinary else conditions

    @model_validator(mode="after")
    def _names_a_path_where_needed(self) -> "CandidateBuildRequest":
        check_name(self.dataset)
        if self.source != "simulated" and self.path is None:
            raise ValueError(f"source={self.source} needs path=FOLDER or path=FILE")
        if self.source == "simulated" and self.path is not None:
            raise ValueError(f"source=simulated takes no path, path={self.path} was given; did you mean source=frames?")
        return self

    @model_validator(mode="after")
    def _fits_simulation(self) -> "CandidateBuildRequest":
        if self.source != "simulated":
            if self.known_objects == KNOWN_OF_SIMULATION:
                raise ValueError(
                    f"known_objects={KNOWN_OF_SIMULATION} is for source=simulated, not source={self.source}"
                )
            if self.conditions is not None:
                raise ValueError(
                    f"conditions={self.conditions.given} are for source=simulated, not source={self.source}"
                )
        elif self.conditions is not None:
            self.conditions.require_chip(self.chips)
        return self

    @model_validator(mode="after")
    def _injects_into_frames(self) -> "CandidateBuildRequest":
        if self.source in ("simulated", "frames"):
            return self
        for name, is_given in (
            ("balance=stored", self.balance == "stored"),
            (f"injection_rounds={self.injection_rounds}", self.injection_rounds > 1),
        ):
            if is_given:
                raise ValueError(f"{name} injects into frames, but source={self.source} has ready triplets")
        return self

    @model_validator(mode="after")
    def _fits_its_source(self) -> "CandidateBuildRequest":
        if self.engine == "precomputed" and self.source != "frames":
            raise ValueError(f"engine=precomputed is for source=frames, not source={self.source}")
        if self.columns and self.source not in TABLE_SOURCES and not self.known_columns:
            raise ValueError(f"columns={self.columns} names columns, but source={self.source} reads no table of rows")
        return self

    @property
    def record_columns(self) -> tuple[tuple[str, str], ...]:
        """Columns named for the source's own table, (role, column)."""
        if self.source not in TABLE_SOURCES:
            return ()
        return tuple(
            (role, name) for role, name in (self.columns or {}).items() if not role.startswith(f"{KNOWN_PREFIX}.")
        )

    @property
    def known_columns(self) -> tuple[tuple[str, str], ...]:
        """Columns named for the table of known objects, (role, column).

        Their roles begin with ``known_objects.``, or are all where the source has no table of rows itself.
        """
        if self.known_objects in (None, KNOWN_OF_SIMULATION):
            return ()
        prefix, takes_all = f"{KNOWN_PREFIX}.", self.source not in TABLE_SOURCES
        named = (self.columns or {}).items()
        return tuple((role.removeprefix(prefix), name) for role, name in named if takes_all or role.startswith(prefix))

    @property
    def survey(self) -> SurveySettings:
        """The survey to simulate."""
        return SurveySettings(
            seed=self.seed,
            transients_per_visit=self.scene_transients,
            diversity=self.diversity,
            seeing_fwhm_arcsec=self.seeing_arcsec,
            variable_share=self.variable_fraction,
            randomisation=self.randomisation,
        )

    @property
    def work(self) -> VisitSettings:
        """The settings of a chip-visit."""
        return VisitSettings(
            injection=InjectionSettings(
                per_visit=self.injections_per_visit,
                galaxy_fraction=self.galaxy_fraction,
                variable_fraction=self.variable_fraction,
                repeats=self.injection_rounds,
                rounds=MOST_ROUNDS if self.balance == "stored" else 1,
            ),
            subtraction=SubtractionSettings(engine=self.engine),
            threshold_sigma=self.threshold_sigma,
            stamp_px=self.stamp_px,
        )
