"""What a study does about wrong labels: how it finds suspects, what becomes of them, and the loss of the second fit."""

from dataclasses import dataclass

from realbogus.models.network_settings import Smoothness
from tasks.candidates.choices import Handling, RobustLoss
from tasks.learning.fits.fit_settings import KeptEpoch
from tasks.learning.labels.suspects import SuspectRule
from tasks.studies.choices import StudyHandling


@dataclass(frozen=True)
class LabelMethod:
    """A method against wrong labels.

    Attributes
    ----------
    rule : str
        By which suspects are found.
    handling : str
        What becomes of them; ``keep`` finds none.
    suspect_injections : bool
        Whether labels of injections can be suspect.
    recurrence : bool
        Whether recurrence over visits has a say in what is suspect.
    smoothness : str
        What unlabelled suspects are trained by.
    robust_loss : str, optional
        The loss of the fit.
    keep : str, optional
        The epoch whose weights are kept. None: where labels are left alone to the plain loss, the preset's, which the
        noisy validation part chooses; else the last.
    """

    rule: SuspectRule = "misclassified"
    handling: Handling = "keep"
    suspect_injections: bool = True
    recurrence: bool = False
    smoothness: Smoothness = "vat"
    robust_loss: RobustLoss | None = None
    keep: KeptEpoch | None = None


HANDLINGS: dict[StudyHandling, LabelMethod] = {
    "none": LabelMethod(),
    "none-last": LabelMethod(keep="last"),
    "label-wave": LabelMethod(keep="label-wave"),
    "remove": LabelMethod("threshold", "remove"),
    "unlabel": LabelMethod("threshold", "unlabel"),
    "consistency": LabelMethod("threshold", "unlabel", smoothness="consistency"),
    "flip": LabelMethod("threshold", "flip"),
    "confident": LabelMethod("confident", "remove"),
    "two-views": LabelMethod("two-views", "remove"),
    "dynamics": LabelMethod("dynamics", "remove"),
    "anchored-unlabel": LabelMethod("threshold", "unlabel", suspect_injections=False),
    "anchored-consistency": LabelMethod("threshold", "unlabel", suspect_injections=False, smoothness="consistency"),
    "anchored-confident": LabelMethod("confident", "remove", suspect_injections=False),
    "anchored-two-views": LabelMethod("two-views", "remove", suspect_injections=False),
    "hidden-reals": LabelMethod("hidden-reals", "remove", suspect_injections=False),
    "hidden-reals-flip": LabelMethod("hidden-reals", "flip", suspect_injections=False),
    "recurrence-unlabel": LabelMethod("threshold", "unlabel", suspect_injections=False, recurrence=True),
    "recurrence-two-views": LabelMethod("two-views", "remove", suspect_injections=False, recurrence=True),
    "anchored-dynamics": LabelMethod("dynamics", "remove", suspect_injections=False),
    "gce": LabelMethod(robust_loss="gce"),
    "ce-eps-mae": LabelMethod(robust_loss="ce-eps-mae"),
    "nnpu": LabelMethod(robust_loss="nnpu"),
    "elr": LabelMethod(robust_loss="elr"),
}
"""Methods by the study's name."""
