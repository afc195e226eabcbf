"""Figures of a fit's epoch curves."""

from collections.abc import Sequence

from tasks.learning.fits.checkpoints import EpochRecord

SHARE = 0.95


def curve_figures(history: Sequence[EpochRecord], kept_epoch: int) -> dict[str, int | float]:
    """Return how soon a fit converges and how much it overfits.

    Parameters
    ----------
    history : sequence of EpochRecord
        From epoch 1.
    kept_epoch : int
        The epoch whose weights are kept.

    Returns
    -------
    dict
        ``epoch_to_95pct``: the first epoch whose validation accuracy reaches 95 % of the kept epoch's.
        ``generalisation_gap``: training minus validation accuracy at the kept epoch; the training accuracy is that of
        the augmented views while the network changes.
    """
    kept = history[kept_epoch - 1]
    enough = SHARE * kept.validation_accuracy
    reached = next(record.epoch for record in history if record.validation_accuracy >= enough)
    return {"epoch_to_95pct": reached, "generalisation_gap": kept.train_accuracy - kept.validation_accuracy}
