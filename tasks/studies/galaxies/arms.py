"""A way to train a galaxy classifier, as the studies compare them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.galaxies.choices import NetworkName, OptimizerName, PresetName
from tasks.galaxies.initial_weights import NONE
from tasks.galaxies.methods import TrainingMethods
from tasks.galaxies.training import GalaxyTrainRequest

Fitting = Literal["all", "head"]


class TrainingArm(BaseModel):
    """One way to train; its fields are those of `train-galaxy`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """Name in tables."""
    network: NetworkName = "cnn"
    preset: PresetName = "tuned"
    optimizer: OptimizerName | None = None
    weights: str = NONE
    methods: TrainingMethods = TrainingMethods()
    fitting: Fitting = "all"
    """``head``: a logistic regression on the features of the loaded weights, none of which is changed."""

    def request(self, dataset: str, scheme: str | None, seed: int, epochs: int | None = None) -> GalaxyTrainRequest:
        """Return the training's request."""
        return GalaxyTrainRequest(
            dataset=dataset,
            scheme=scheme,
            network=self.network,
            preset=self.preset,
            optimizer=self.optimizer,
            weights=self.weights,
            methods=self.methods,
            seed=seed,
            epochs=epochs,
        )
