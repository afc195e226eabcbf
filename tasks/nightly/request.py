"""The request of `nightly-retrain`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from realbogus.simulation.night_conditions import NightConditions
from tasks.inbox.nights import TIMEZONE
from tasks.store.schema import GALAXY, REALBOGUS, Problem, check_name

NightSource = Literal["simulated", "frames", "alerts", "triplets", "sdss", "archive"]
Start = Literal["warm", "fresh"]
"""What a challenger is fitted from: the champion's weights, or random ones."""
SOURCES: dict[str, tuple[NightSource, ...]] = {
    REALBOGUS: ("simulated", "frames", "alerts", "triplets"),
    GALAXY: ("simulated", "sdss", "archive"),
}
DATASETS = {REALBOGUS: "nightly", GALAXY: "nightly-galaxies"}


class NightlyRequest(BaseModel):
    """What is done with a night."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: Problem = REALBOGUS
    night: str | None = None
    """Date of the local evening; None: every night since the last one."""
    source: NightSource = "simulated"
    path: str | None = None
    """Candidates: the inbox; None: the workspace's. Galaxies: the catalogue that grows."""
    images: str | None = None
    """Galaxies of an archive: its images."""
    dataset: str | None = None
    """The training set that grows; None: that of `DATASETS`."""
    scheme: str = "deck-3"
    """Galaxies: the class scheme."""
    labels: str | None = None
    """The label version that challengers are trained on; None: that of the last relabelling."""
    network: str | None = None
    """None: the champion's."""
    start: Start = "warm"
    epochs: int | None = Field(default=None, ge=1)
    injections_per_visit: int = Field(default=20, ge=0)
    """Into copies of each chip-visit's frames."""
    galaxy_catalog: str | None = None
    chips: int = Field(default=4, ge=1)
    visits: int = Field(default=3, ge=1)
    scene_transients: float = Field(default=1.0, ge=0)
    conditions: NightConditions | None = None
    """Of a simulated night."""
    objects: int = Field(default=100, ge=1)
    """Galaxies that a simulated catalogue grows by every night."""
    retrain_every: int = Field(default=1, ge=0)
    """Nights between two challengers; 0: none is trained."""
    relabel_every: int = Field(default=0, ge=0)
    """Nights between two relabellings; 0: none."""
    margin: float = Field(default=0.05, ge=0, lt=1)
    tolerance: float = Field(default=0.02, ge=0, lt=1)
    cooldown_nights: int = Field(default=5, ge=0)
    shadow_nights: int = Field(default=0, ge=0)
    max_catch_up: int = Field(default=14, ge=1)
    timezone: str = TIMEZONE
    seed: int = Field(default=0, ge=0)
    device: str = "auto"

    @model_validator(mode="after")
    def _fits_its_problem(self) -> "NightlyRequest":
        if self.source not in SOURCES[self.problem]:
            raise ValueError(
                f"source={self.source} is not for problem={self.problem}, which has {', '.join(SOURCES[self.problem])}"
            )
        if self.conditions is not None and self.source != "simulated":
            raise ValueError(f"conditions={self.conditions.given} is for source=simulated, not source={self.source}")
        if self.problem == GALAXY and self.source != "simulated" and self.path is None:
            raise ValueError(f"source={self.source} needs path=CATALOGUE, the table that grows")
        check_name(self.training_set)
        return self

    @property
    def training_set(self) -> str:
        """Name of the dataset that grows."""
        return self.dataset or DATASETS[self.problem]

    @property
    def holdout(self) -> str:
        """Name of the frozen holdout."""
        return self.training_set

    def night_set(self, night: str) -> str:
        """Name of the dataset of a night's own candidates."""
        return f"night-{night}" if self.dataset is None else f"night-{night}-{self.dataset}"
