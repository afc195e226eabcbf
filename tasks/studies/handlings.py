"""What a study does about wrong labels: how it finds suspects, what becomes of them, and the loss of the second fit."""

from dataclasses import dataclass

from tasks.candidates.choices import Handling, RobustLoss
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
    robust_loss : str, optional
        The loss of the fit.
    """

    rule: SuspectRule = "misclassified"
    handling: Handling = "keep"
    suspect_injections: bool = True
    robust_loss: RobustLoss | None = None


HANDLINGS: dict[StudyHandling, LabelMethod] = {
    "none": LabelMethod(),
    "remove": LabelMethod("threshold", "remove"),
    "unlabel": LabelMethod("threshold", "unlabel"),
    "flip": LabelMethod("threshold", "flip"),
    "confident": LabelMethod("confident", "remove"),
    "two-views": LabelMethod("two-views", "remove"),
    "dynamics": LabelMethod("dynamics", "remove"),
    "anchored-unlabel": LabelMethod("threshold", "unlabel", suspect_injections=False),
    "anchored-confident": LabelMethod("confident", "remove", suspect_injections=False),
    "anchored-two-views": LabelMethod("two-views", "remove", suspect_injections=False),
    "anchored-dynamics": LabelMethod("dynamics", "remove", suspect_injections=False),
    "gce": LabelMethod(robust_loss="gce"),
    "ce-eps-mae": LabelMethod(robust_loss="ce-eps-mae"),
    "nnpu": LabelMethod(robust_loss="nnpu"),
    "elr": LabelMethod(robust_loss="elr"),
}
"""Methods by the study's name."""
