"""Training methods of candidates: named changes of a preset."""

from typing import TYPE_CHECKING

from pydantic import Field

from tasks.learning.fits.fit_settings import Schedule
from tasks.training.methods import MethodError, PresetMethods, replace_entries

if TYPE_CHECKING:
    from tasks.candidates.presets import CandidatePreset

OF_TRAINING = ("schedule", "weight_average", "distill_teachers", "distill_weight")
OF_AUGMENTATION = ("shift_px", "noise")
OF_LOSSES = ("partial_auc", "partial_auc_trim")
OF_PRESET = ("fresh_reals", "exchange_fainter", "average_views", "stamp_scalars")
"""Where a preset has each method."""


class CandidateMethods(PresetMethods):
    """Changes of a candidate preset; a field that is null keeps what the preset has."""

    fresh_reals: float | None = Field(default=None, gt=0, le=1)
    """Share of the reals that an epoch has, drawn anew for each: a survey with more injections shows fresh ones."""
    schedule: Schedule | None = None
    """plateau: the rate is lowered when the validation loss stalls; cosine: at every step."""
    weight_average: float | None = Field(default=None, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is validated and saved; 0: none."""
    shift_px: float | None = Field(default=None, ge=0, lt=1)
    """Augmentation: largest shift along each axis, pixels."""
    noise: float | None = Field(default=None, ge=0)
    """Augmentation: standard deviation of the noise added to each plane, in units of the plane's own noise."""
    exchange_fainter: bool | None = None
    """Sources that are fainter in the new image are seen as brighter ones, with new and reference exchanged."""
    average_views: bool | None = None
    """The saved model averages over the eight symmetries of the square; scoring takes eight times as long."""
    stamp_scalars: bool | None = None
    """The network measures S/N, widths, the dipole moment and the reference's brightness, beside its convolutions."""
    partial_auc: float | None = Field(default=None, ge=0)
    """Weight of the loss that compares the reals with the bogus of the highest scores, up to a rate of 5 %."""
    partial_auc_trim: float | None = Field(default=None, ge=0, lt=0.05)
    """Share of the bogus, those of the highest scores, which that loss leaves out as hidden transients."""
    distill_teachers: int | None = Field(default=None, ge=0, le=20)
    """Number of networks, fitted alike with other seeds, whose mean probabilities the saved one learns; 0: none."""
    distill_weight: float | None = Field(default=None, ge=0, le=1)
    """Share of the teachers' mean probability in a target; the rest is the label."""


def apply_methods(preset: "CandidatePreset", methods: CandidateMethods) -> "CandidatePreset":
    """Return the preset with the methods that are given.

    Raises
    ------
    MethodError
        ``stamp_scalars`` is given and the views do not have the S/N of the pixels; or ``fresh_reals`` or
        ``distill_teachers`` and the loss is nnpu.
    """
    from realbogus.models.stamp_scalars import KEEPING_SNR

    places = {"": OF_PRESET, "training": OF_TRAINING, "augmentation": OF_AUGMENTATION, "losses": OF_LOSSES}
    changed = replace_entries(preset, methods.given, places)
    if changed.stamp_scalars and changed.normalisation not in KEEPING_SNR:
        raise MethodError(
            f"methods: stamp_scalars: normalisation={changed.normalisation} does not keep the S/N of the pixels; "
            f"choose {', '.join(sorted(KEEPING_SNR))}, or leave it out"
        )
    if changed.losses.supervised == "nnpu":
        for name, is_given in (
            ("fresh_reals", changed.fresh_reals < 1),
            ("distill_teachers", changed.training.distill_teachers > 0),
        ):
            if is_given:
                raise MethodError(
                    f"methods: {name}={getattr(methods, name)}: with robust_loss=nnpu a target is the number of hidden "
                    "reals that a real stands for; leave one of them out"
                )
    return changed
