"""What a training of galaxies is: images of a scheme's classes, a network of `galaxy`, accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from numpy.typing import NDArray

from tasks.galaxies.evaluation import evaluate_model
from tasks.learning import measures
from tasks.learning.predictions import figures_of
from tasks.learning.split_parts import SplitPart, part_rows
from tasks.runtime.workspace import Workspace
from tasks.tracking.mlflow_runs import TrackedRun
from tasks.training.training_task import TrainingTask, TrainRequest, open_labelled, quiet_tensorflow

if TYPE_CHECKING:
    from tasks.learning.fit_spec import FitSpec
    from tasks.learning.fitting import Fitted

TEST_FIGURES = ("count", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "ece", "nll")


class GalaxyTrainRequest(TrainRequest):
    """What galaxies to train on, and how."""

    network: Literal["cnn"] = "cnn"
    optimizer: Literal["sgd", "adam"] = "adam"
    preset: Literal["deck", "tuned"] = "tuned"
    grey: bool = False
    """Colour is replaced by luminance inside the model."""


@dataclass(frozen=True)
class GalaxyTraining(TrainingTask):
    """A training of galaxies; `preset` is a `tasks.galaxies.presets.Preset`."""

    PROBLEM: ClassVar[str] = "galaxy"

    @property
    def words(self) -> list[str]:
        """Network, preset, optimiser, and whether images are grey."""
        request = self.request
        return [request.network, request.preset, request.optimizer, *(["grey"] if request.grey else [])]

    @property
    def registered_name(self) -> str:
        """One name a scheme."""
        return f"{self.PROBLEM}-{self.scheme}"

    @property
    def optimizer(self) -> Literal["sgd", "adam", "adadelta"]:
        """As asked."""
        name: Literal["sgd", "adam"] = self.request.optimizer
        return name

    @property
    def preprocessing_version(self) -> str:
        """The galaxy models' own."""
        from galaxy.models.networks import PREPROCESSING_VERSION

        return PREPROCESSING_VERSION

    @property
    def size_px(self) -> int:
        """Width of the stored images."""
        return int(self.dataset.pixels.shape[1])

    def part(self, name: str) -> SplitPart:
        """Return the labelled images of a part."""
        return part_rows(self.dataset, self.scheme, name)

    def learner(self, train: SplitPart) -> "FitSpec":
        """Return the preset's network and its random views."""
        from galaxy.models.augmentation import centre_view, random_view
        from galaxy.models.networks import build_network, view_px
        from tasks.learning.fit_spec import FitSpec

        preset, size_px, classes = self.preset, self.size_px, len(self.classes)
        width, grey = view_px(preset, size_px), self.request.grey
        return FitSpec(
            lambda precision: build_network(preset, size_px, classes, grey=grey, precision=precision),
            lambda images, seed: random_view(images, seed, preset.augmentation, width),
            lambda images: centre_view(images, width),
            classes,
        )

    def model(self, weights: list[NDArray]) -> Any:
        """Return the model from stored images to probabilities."""
        from galaxy.models.networks import build_model

        return build_model(self.preset, self.size_px, len(self.classes), grey=self.request.grey, weights=weights)

    def probabilities(self, outputs: NDArray) -> NDArray:
        """Return the outputs, which are probabilities."""
        return outputs

    def settle(
        self, outputs: NDArray, validation: SplitPart, train: SplitPart
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Fit the temperature."""
        temperature = measures.fit_temperature(outputs, validation.labels)
        return {"temperature": temperature, "operating_points": {}}, figures_of(outputs, validation.labels, temperature)

    def evaluate(
        self,
        model: Any,
        card: Mapping[str, Any],
        part: str,
        history: Mapping[str, Sequence[float]],
        run: TrackedRun,
        best_epoch: int,
    ) -> dict[str, Any]:
        """Judge accuracy and calibration."""
        return evaluate_model(
            self.workspace, self.dataset, model, card, part, self.scheme, history, run, best_epoch=best_epoch
        )

    def summary(self, test: Mapping[str, Any], validation: Mapping[str, Any], fitted: "Fitted") -> dict[str, Any]:
        """Return the figures on validation and test."""
        return {
            "validation": validation,
            "test": {name: test[name] for name in TEST_FIGURES},
            "images_per_second": round(fitted.images_per_second, 1),
        }

    def card(self) -> dict[str, Any]:
        """Add what chose the network."""
        request = self.request
        own = {"network": request.network, "preset": request.preset, "grey": request.grey}
        return {**super().card(), **own}

    def tags(self, device: Any) -> dict[str, str]:
        """Add the preset."""
        return {**super().tags(device), "preset": self.request.preset}


def open_galaxy_training(workspace: Workspace, request: GalaxyTrainRequest) -> GalaxyTraining:
    """Open the dataset, scheme and preset that a request names.

    Raises
    ------
    PartError
        The dataset is of another problem, or has no labels.
    """
    quiet_tensorflow()
    from tasks.galaxies.presets import load_preset

    dataset, scheme = open_labelled(workspace, request.dataset, GalaxyTraining.PROBLEM, request.scheme)
    preset = load_preset(request.network, request.preset)
    return GalaxyTraining(request, workspace, dataset, scheme, dataset.classes(scheme), preset)
