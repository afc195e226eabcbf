"""Training of candidates: triplets of all detectors or of one, three losses, an operating point."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.special import softmax

from realbogus.models.network_settings import Network, Profile, Size, Smoothness
from realbogus.models.preprocessing import PREPROCESSING_VERSION, Normalisation
from tasks.candidates.choices import RobustLoss, Treatment
from tasks.candidates.cross_validation import pooled_figures
from tasks.candidates.evaluation import evaluate_candidates
from tasks.candidates.initial_weights import NONE, RANDOM_START, InitialWeights, find_weights
from tasks.candidates.methods import CandidateMethods, apply_methods
from tasks.learning import measures, operating_points
from tasks.learning.calibration import Calibration
from tasks.learning.detector_points import detector_points
from tasks.learning.fits.fit_settings import KeptEpoch, Optimizer
from tasks.learning.fits.fresh_subsets import FreshSubset
from tasks.learning.split_parts import UNLABELLED, PartError, SplitPart, part_rows, require_every_class
from tasks.reports.page import Block
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column, to_text
from tasks.store.sampling import hash_order
from tasks.store.schema import REALBOGUS
from tasks.training.evaluation_record import EvaluationRequest
from tasks.training.train import fit_parts
from tasks.training.training_task import TrainingDescription, TrainingTask, TrainRequest, open_labelled

if TYPE_CHECKING:
    from tasks.candidates.presets import CandidatePreset
    from tasks.learning.fits.devices import Device
    from tasks.learning.fits.fit_spec import FitSpec
    from tasks.learning.fits.fitting import OnOutputs

REAL = 1
"""Index of the class real."""
TEST_FIGURES = (
    *("count", "real", "bogus", "auc", "auc_low", "auc_high"),
    *("fpr_at_tpr90", "fpr_at_tpr90_low", "fpr_at_tpr90_high"),
)
FIRST = "first"
"""The cheap network of the first model of a night; its models are registered under a name of their own."""


class CandidateTrainRequest(TrainRequest):
    """The candidates to train on, the network and the losses."""

    network: Network = "simple"
    size: Size = "small"
    profile: Profile = "fixed"
    treatment: Treatment = "all"
    """each: one detector alone; mix: as many samples of all detectors as one has; all: every sample."""
    detector: str | None = None
    """For treatment=each."""
    loss_ce: float | None = Field(default=None, ge=0)
    loss_ech: float | None = Field(default=None, ge=0)
    loss_lds: float | None = Field(default=None, ge=0)
    """Weights of cross-entropy, exponential cross-hinge and smoothness; None: the preset's."""
    smoothness: Smoothness = "vat"
    """What has the weight loss_lds; see `realbogus.models.losses.LossSettings`."""
    optimizer: Optimizer | None = None
    """None: the preset's."""
    normalisation: Normalisation | None = None
    """None: the preset's."""
    robust_loss: RobustLoss | None = None
    """In place of the cross-entropy or, elr, beside it; None: the preset's losses."""
    keep: KeptEpoch | None = None
    """The epoch whose weights are kept; None: the preset's."""
    weights: str = NONE
    """What the fit starts from; see `tasks.candidates.initial_weights`."""
    methods: CandidateMethods = CandidateMethods()

    @model_validator(mode="after")
    def _goes_together(self) -> "CandidateTrainRequest":
        if self.detector is not None and self.treatment != "each":
            raise ValueError(f"detector={self.detector} goes with treatment=each, not treatment={self.treatment}")
        return self


@dataclass(frozen=True)
class CandidateTraining(TrainingTask):
    """A training of candidates; `preset` is a `tasks.candidates.presets.Preset`."""

    initial: InitialWeights = RANDOM_START

    @property
    def description(self) -> TrainingDescription:
        """Named by network, size, profile, treatment, detector, losses, relabelling, initial weights and methods."""
        request, losses = self.request, self.preset.losses
        weights = "+".join(name for name in ("ce", "ech", "lds") if getattr(losses, name))
        weights += f" {request.robust_loss}" if request.robust_loss else ""
        weights += " consistency" if losses.needs_strong_views else ""
        detector = [request.detector] if request.detector else []
        options = [request.normalisation] if request.normalisation else []
        options += [f"labels {request.labels}"] if request.labels else []
        options += [f"from {self.initial.source}"] if request.weights != NONE else []
        options += [request.methods.label] if request.methods.label else []
        settings = {name: getattr(request, name) for name in ("network", "size", "profile", "treatment", "detector")}
        return TrainingDescription(
            words=[request.network, request.size, request.profile, request.treatment, *detector, weights, *options],
            registered_name="-".join([REALBOGUS, *([FIRST] if request.network == FIRST else []), *detector]),
            optimizer=request.optimizer or self.preset.optimizer,
            preprocessing_version=PREPROCESSING_VERSION,
            card={
                **settings,
                "labels": request.labels,
                "losses": losses.model_dump(mode="json"),
                "weights": self.initial.record,
                "methods": request.methods.given,
            },
            tags={
                **{name: str(value) for name, value in settings.items() if value is not None},
                "weights": self.initial.source,
            },
            summary={"weights": self.initial.source, "methods": request.methods.given},
            test_figures=TEST_FIGURES,
            speed="samples_per_second",
        )

    @property
    def earlier_samples(self) -> pa.Table | None:
        """The samples of the model that the weights come from."""
        return self.initial.samples

    def identity(self, **more: Any) -> dict[str, Any]:
        """Return all that determines the result: also the content of the weights that were loaded."""
        return super().identity(weights_sha256=self.initial.sha256, **more)

    @property
    def stamp_px(self) -> int:
        """Width of the stored stamps."""
        return int(self.dataset.pixels.shape[1])

    def part(self, name: str) -> SplitPart:
        """Return a part's candidates of the requested detectors; a relabelling applies to the train part alone."""
        if name != "train":
            return self._of_detector(part_rows(self.dataset, self.scheme, name), name)
        semi_supervised = self.preset.losses.lds > 0
        part = part_rows(self.dataset, self.scheme, name, self.request.labels, unlabelled=semi_supervised)
        return self._like_one_detector(part) if self.request.treatment == "mix" else self._of_detector(part, name)

    def fit_spec(self, train: SplitPart) -> "FitSpec":
        """Return the preset's network, its random views, and the model that holds the losses."""
        labels = labels_of_epoch(self.preset, train.labels)
        weights = class_weights(labels) if self.preset.class_weights == "auto" else None
        return candidate_fit_spec(self.preset, self.stamp_px, weights, self.initial)

    def model(self, weights: list[NDArray]) -> Any:
        """Return the model from stored triplets (n, y, x, 3) to logits (n, 2)."""
        from realbogus.models.networks import build_model

        return build_model(self.preset, self.stamp_px, weights)

    def probabilities(self, outputs: NDArray) -> NDArray:
        """Return the softmax (n, 2) of the logits (n, 2), in float64."""
        return np.asarray(softmax(np.asarray(outputs, float), axis=1))

    def calibrate(
        self, outputs: NDArray, validation: SplitPart, train: SplitPart
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Fit temperature, offset and thresholds to logits (n, 2); the metrics are AUC and the FPR at TPR 0.9."""
        require_every_class(validation, self.classes, "the validation part")
        real = validation.labels == REAL
        logits = operating_points.logit_of(outputs)
        points = operating_points.operating_points(logits, real)
        labels = labels_of_epoch(self.preset, train.labels)
        labelled = labels[labels != UNLABELLED]
        fitted = Calibration.fit(logits, real, float(np.mean(labelled == REAL)))
        detectors = self.detectors_of(validation)
        of_detectors = detector_points(logits, real, detectors) if (detectors != "").all() else {}
        calibration = {**fitted.to_card(), "operating_points": points, "detector_points": of_detectors}
        figures = {"count": len(validation), "auc": measures.auc(logits, real), "fpr_at_tpr90": points["tpr90"]["fpr"]}
        return calibration, figures

    def evaluate(self, request: EvaluationRequest) -> dict[str, Any]:
        """Evaluate at the operating point."""
        return evaluate_candidates(request)

    def summarise_folds(
        self, part: SplitPart, outputs: NDArray, folds: NDArray[np.int32]
    ) -> tuple[dict[str, Any], list[Block]]:
        """Return AUC, operating point and baselines of out-of-fold logits (n, 2), over all folds and by night."""
        return pooled_figures(self.dataset, part, operating_points.logit_of(outputs), folds)

    def _of_detector(self, part: SplitPart, name: str) -> SplitPart:
        detector = self.request.detector
        if detector is None:
            return part
        positions = np.flatnonzero(self.detectors_of(part) == detector)
        if not len(positions):
            available = ", ".join(detectors_of(self))
            raise PartError(f"detector {detector!r} has no sample in part {name!r}; the dataset's are: {available}")
        return part.take(positions)

    def _like_one_detector(self, part: SplitPart) -> SplitPart:
        """Return as many samples as a detector has on average, each detector in proportion, at least one of each."""
        detectors = self.detectors_of(part)
        names = np.unique(detectors)
        order = hash_order(part.ids, self.request.seed)
        of_detectors = [order[detectors[order] == name] for name in names]
        shares = [rows[: max(1, round(len(rows) / len(names)))] for rows in of_detectors]
        return part.take(np.sort(np.concatenate(shares)))

    def detectors_of(self, part: SplitPart) -> NDArray[np.str_]:
        """Return the detector of each sample, (n,), empty where there is none."""
        samples = self.dataset.samples(["id", "detector"])
        return to_text(align_column(samples, "detector", part.ids))


def candidate_fit_spec(
    preset: "CandidatePreset",
    stamp_px: int,
    weights: tuple[float, float] | None,
    initial: InitialWeights = RANDOM_START,
) -> "FitSpec":
    """Return a preset's network, its random views, and the model that holds its losses.

    Rotations and flips are applied to normalised stamps, which are computed once; an augmentation that alters pixels
    in raw units is applied before normalisation. Where the losses need strong views, their channels follow those of
    the training views.

    Parameters
    ----------
    preset : CandidatePreset
    stamp_px : int
        Width of the stored stamps.
    weights : (float, float) or None
        Loss weights of bogus and real.
    initial : InitialWeights
        What the network starts from.
    """
    import tensorflow as tf

    from realbogus.models.augmentation import STRONG, STRONG_STREAM, random_view
    from realbogus.models.losses import CandidateTrainer
    from realbogus.models.networks import CLASSES, build_network, prepare_views
    from tasks.learning.fits.fit_spec import FitSpec

    def prepare(stamps: Any) -> Any:
        return prepare_views(stamps, preset)

    def augment(stamps: Any, seed: Any) -> Any:
        return random_view(stamps, seed, preset.augmentation)

    def view(stamps: Any, seed: Any) -> Any:
        views = prepare(augment(stamps, seed))
        if not preset.losses.needs_strong_views:
            return views
        return tf.concat([views, prepare(random_view(stamps, tf.add(seed, STRONG_STREAM), STRONG))], axis=-1)

    def build(precision: str) -> Any:
        network = build_network(preset, stamp_px, precision=precision)
        initial.load_into(network)
        return network

    in_raw_units = preset.augmentation.alters_pixels or preset.losses.needs_strong_views
    return FitSpec(
        build,
        view if in_raw_units else augment,
        prepare if in_raw_units else (lambda views: views),
        CLASSES,
        None if in_raw_units else prepare,
        lambda network, seed: CandidateTrainer(network, preset.losses, weights, seed=seed),
        even_classes=True,
        mean_decay=preset.losses.mean_decay,
        fresh=fresh_reals(preset),
    )


def fresh_reals(preset: "CandidatePreset") -> FreshSubset | None:
    """Return the share of the reals that an epoch has; None where every epoch has all of them."""
    return None if preset.fresh_reals == 1 else FreshSubset(REAL, preset.fresh_reals)


def labels_of_epoch(preset: "CandidatePreset", labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the labels (m,) that an epoch has of the training part's (n,); their counts are those of every epoch."""
    fresh = fresh_reals(preset)
    return labels if fresh is None else labels[fresh.positions(labels, 0, 1)]


def open_candidate_training(
    workspace: Workspace, request: CandidateTrainRequest, *, every_part: bool = False
) -> CandidateTraining:
    """Open the dataset and the preset of a request; see `open_labelled`, before TensorFlow is imported.

    Raises
    ------
    PartError
        The dataset is of another problem, or has no labels.
    """
    dataset, scheme = open_labelled(workspace, request.dataset, REALBOGUS, request.scheme, every_part=every_part)
    quiet_tensorflow()
    from tasks.candidates.presets import load_preset, with_averaged_targets, with_robust_loss

    preset = load_preset(request.network, request.size, request.profile)
    if request.robust_loss:
        preset = with_robust_loss(preset, request.robust_loss)
    requested = {"ce": request.loss_ce, "ech": request.loss_ech, "lds": request.loss_lds}
    weights = {name: value for name, value in requested.items() if value is not None}
    requested_losses = {**weights, "smoothness": request.smoothness}
    losses = type(preset.losses).model_validate({**preset.losses.model_dump(), **requested_losses})
    preset = with_averaged_targets(preset.model_copy(update={"losses": losses}))
    changes: dict[str, Any] = {}
    if request.normalisation:
        changes["normalisation"] = request.normalisation
    if request.keep:
        changes["training"] = preset.training.model_copy(update={"keep": request.keep})
    preset = apply_methods(preset.model_copy(update=changes), request.methods)
    initial = find_weights(workspace, request.weights, preset.model_dump(), int(dataset.pixels.shape[1]))
    return CandidateTraining(request, workspace, dataset, scheme, preset, initial)


def detectors_of(training: CandidateTraining) -> list[str]:
    """Return the names of the detectors with stored samples, sorted."""
    samples = training.dataset.samples(["row", "detector"])
    return sorted(pc.unique(samples.filter(pc.is_valid(samples["row"]))["detector"].drop_null()).to_pylist())


def class_weights(labels: NDArray) -> tuple[float, float] | None:
    """Return loss weights of bogus and real, by which both classes count equally.

    None if each class has a fifth of the labelled samples or more, or if one has none.

    Parameters
    ----------
    labels : (n,) int
        `UNLABELLED` ones are ignored.
    """
    counts = np.bincount(labels[labels != UNLABELLED], minlength=2)
    if counts.min() == 0 or counts.min() >= counts.sum() / 5:
        return None
    bogus, real = counts.sum() / (2 * counts)
    return float(bogus), float(real)


def fit_model(
    training: CandidateTraining,
    train_part: SplitPart,
    validation: SplitPart,
    folder: Path,
    device: "Device",
    on_outputs: "OnOutputs | None" = None,
) -> Any:
    """Fit to given samples and return the model from stored triplets to logits.

    `folder` keeps the fit's state; `on_outputs` as in `tasks.learning.fits.fitting.fit`.
    """
    fitted = fit_parts(training, (train_part, validation), device, folder, on_outputs=on_outputs)
    return training.model(fitted.weights)
