"""Training of a galaxy classifier: images of a scheme's classes, a network of `galaxy.models`, accuracy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galaxy.models.preprocessing import PREPROCESSING_VERSION
from tasks.galaxies.choices import NetworkName, OptimizerName, PresetName
from tasks.galaxies.evaluation import evaluate_galaxies
from tasks.galaxies.initial_weights import NONE, RANDOM_START, InitialWeights, find_weights
from tasks.galaxies.methods import TrainingMethods, apply_methods, require_random_start
from tasks.galaxies.soft_labels import with_soft_labels
from tasks.galaxies.training_range import measure_training_range
from tasks.learning import measures
from tasks.learning.labels.relabelling import with_targets
from tasks.learning.predictions import classification_summary
from tasks.learning.split_parts import ALL, SplitPart, part_rows
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.workspace import Workspace
from tasks.store.schema import GALAXY
from tasks.training.evaluation_record import EvaluationRequest
from tasks.training.registered_models import registered_name
from tasks.training.training_task import TrainingDescription, TrainingTask, TrainRequest, open_labelled

if TYPE_CHECKING:
    from tasks.learning.fits.fit_spec import FitSpec

FITTED = ("train", ALL)
"""Parts whose samples, or some of them, are fitted to."""
TEST_FIGURES = ("count", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "ece", "nll")


class GalaxyTrainRequest(TrainRequest):
    """What galaxies to train on, and how."""

    network: NetworkName = "cnn"
    optimizer: OptimizerName | None = None
    """None: the preset's."""
    preset: PresetName = "tuned"
    grey: bool = False
    """The model replaces colour by luminance."""
    weights: str = NONE
    """What the fit starts from; see `tasks.galaxies.initial_weights`."""
    methods: TrainingMethods = TrainingMethods()


@dataclass(frozen=True)
class GalaxyTraining(TrainingTask):
    """A training of galaxies; `preset` is a `tasks.galaxies.presets.GalaxyPreset`.

    Attributes
    ----------
    initial : InitialWeights
        What the fit starts from.
    """

    initial: InitialWeights = RANDOM_START

    @property
    def description(self) -> TrainingDescription:
        """Named by network, preset, optimiser, colour, loaded weights, methods and relabelling.

        There is one registered name a scheme.
        """
        request, initial = self.request, self.initial
        more = ["grey"] if request.grey else []
        if initial != RANDOM_START:
            more.append(f"from {initial.label}")
        if methods := request.methods.label:
            more.append(methods)
        if request.labels:
            more.append(f"labels {request.labels}")
        return TrainingDescription(
            words=[request.network, request.preset, request.optimizer, *more],
            registered_name=registered_name(GALAXY, self.scheme),
            optimizer=request.optimizer,
            preprocessing_version=PREPROCESSING_VERSION,
            card={
                "network": request.network,
                "preset": request.preset,
                "grey": request.grey,
                "weights": initial.record,
                "methods": request.methods.given,
            },
            # A preset that methods changed is not found as the preset itself, by which the deck's network is looked up.
            tags={
                "network": request.network,
                "preset": "+".join(filter(None, (request.preset, methods))),
                **initial.tags,
            },
            summary={"weights": initial.source, "methods": request.methods.given},
            test_figures=TEST_FIGURES,
            speed="images_per_second",
        )

    @property
    def earlier_samples(self) -> pa.Table | None:
        """The samples of the model that the weights come from."""
        file = self.initial.samples_file
        return None if file is None else pq.read_table(file)

    @property
    def size_px(self) -> int:
        """Width of the stored images."""
        return int(self.dataset.pixels.shape[1])

    def identity(self, **more: Any) -> dict[str, Any]:
        """Return all that determines the result: also the content of the weights that were loaded."""
        return super().identity(weights_sha256=self.initial.sha256, **more)

    @property
    def mirrored(self) -> list[int] | None:
        """Position of the class of each class's mirror image; None where a mirror keeps every class."""
        from galaxy.models.networks import mirrored_positions

        pairs = self.dataset.manifest["schemes"][self.scheme].get("mirror", [])
        return mirrored_positions(self.classes, pairs)

    def part(self, name: str) -> SplitPart:
        """Return the labelled images of a part; those that may be fitted to have soft labels where the preset asks.

        A relabelling applies to the train part alone.
        """
        labels = self.request.labels if name == "train" else None
        part = part_rows(self.dataset, self.scheme, name, labels)
        if self.preset.soft_labels and name in FITTED:
            part = with_soft_labels(part, self.dataset, self.scheme)
        if labels is None:
            return part
        tables = (self.dataset.labels(self.scheme, labels), self.dataset.labels(self.scheme))
        return with_targets(part, *tables, self.classes)

    def fit_spec(self, train: SplitPart) -> "FitSpec":
        """Return the preset's network and its random views."""
        from galaxy.models.augmentation import centre_view, mirrored_targets, random_view
        from galaxy.models.networks import block_depths, build_network, view_px
        from tasks.learning.fits.fit_spec import FitSpec

        preset, size_px, classes = self.preset, self.size_px, len(self.classes)
        width, grey, mirrored = view_px(preset, size_px), self.request.grey, self.mirrored

        def build(precision: str) -> Any:
            network = build_network(preset, size_px, classes, grey=grey, precision=precision)
            self.initial.load_into(network, preset)
            return network

        return FitSpec(
            build,
            lambda images, seed: random_view(images, seed, preset.augmentation, width),
            lambda images: centre_view(images, width),
            classes,
            view_targets=None
            if mirrored is None
            else lambda targets, seed: mirrored_targets(targets, seed, preset.augmentation, mirrored),
            depths=lambda network: block_depths(network, preset),
        )

    def model(self, weights: list[NDArray]) -> Any:
        """Return the model from stored images (n, size, size, 3) to probabilities (n, classes)."""
        from galaxy.models.networks import build_model

        return build_model(
            self.preset,
            self.size_px,
            len(self.classes),
            grey=self.request.grey,
            weights=weights,
            mirrored=self.mirrored,
        )

    def probabilities(self, outputs: NDArray) -> NDArray:
        """Return the outputs (n, classes), which are probabilities."""
        return outputs

    def calibrate(
        self, outputs: NDArray, validation: SplitPart, train: SplitPart
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Fit the temperature to probabilities (n, classes); the metrics are accuracy, macro-F1, ECE and NLL.

        The card also says what the images of `train` were like.
        """
        temperature = measures.fit_temperature(outputs, validation.labels)
        entries = {"temperature": temperature, "operating_points": {}}
        entries |= measure_training_range(self.dataset, train.ids)
        return entries, classification_summary(outputs, validation.labels, temperature)

    def evaluate(self, request: EvaluationRequest) -> dict[str, Any]:
        """Evaluate accuracy and calibration."""
        return evaluate_galaxies(request)


def open_galaxy_training(
    workspace: Workspace, request: GalaxyTrainRequest, *, every_part: bool = False
) -> GalaxyTraining:
    """Open the dataset, scheme and preset that a request names; see `open_labelled`, before TensorFlow is imported.

    Raises
    ------
    PartError
        The dataset is of another problem, or has no labels.
    UnknownPresetError
        The network has no such preset.
    WeightsError
        There are no such weights, or they are of another network.
    UnknownModelError
        The registry has no such model.
    MethodError
        A method does not suit the network or its weights.
    """
    dataset, scheme = open_labelled(workspace, request.dataset, GALAXY, request.scheme, every_part=every_part)
    quiet_tensorflow()
    from tasks.galaxies.presets import for_random_start, load_preset

    preset = load_preset(request.network, request.preset)
    classes = dataset.classes(scheme)
    initial = find_weights(workspace, request.weights, request.network, request.preset, classes)
    if initial == RANDOM_START:
        require_random_start(request.methods)
        preset = for_random_start(preset)
    preset = apply_methods(preset, request.methods)
    request = request.model_copy(update={"optimizer": request.optimizer or preset.optimizer})
    return GalaxyTraining(request, workspace, dataset, scheme, preset, initial)
