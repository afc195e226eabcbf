"""Distillation of an ensemble: one network learns what several, fitted alike with other seeds, say on average.

Hinton, Vinyals & Dean 2015 (1503.02531). The teachers are fitted to the whole training part, so their probabilities are
of samples that they have seen. Each predicts the plain view of a sample: all random views of it have the same target.
The temperature is 1. The weighted sum of the cross-entropies with the teachers' mean and with the label is then the
cross-entropy with the weighted mean of both, so the student has the losses that it has without teachers.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from tasks.learning.fits.checkpoints import EpochRecord
from tasks.learning.fits.fitting import Fit, Fitted, OnOutputs, fit
from tasks.learning.fits.view_batches import Feed
from tasks.store.files import whole_file

_TEACHERS = 3  # a stream of random numbers apart from those of a fit


def fit_distilled(
    plan: Fit,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    on_outputs: OnOutputs | None = None,
    log: Callable[[str], None] | None = None,
) -> Fitted:
    """Fit the teachers of a plan that are not finished, and its network to their mean; return the latter.

    A finished teacher leaves its probabilities in a file, ``teacher-N.npy`` in `plan.folder`. One that was interrupted
    continues after its last finished epoch, as the student does.

    Parameters
    ----------
    plan : Fit
        With `distill_teachers` of at least 1; seed and folder are the student's.
    on_epoch, on_outputs
        Of the student, as in `fit`.
    log : callable, optional
        Called with a message when a teacher is finished.

    Raises
    ------
    NotFiniteError, DamagedPixelsError
        As in `fit`.
    """
    settings, train = plan.settings, plan.data.train
    probabilities = [teacher_probabilities(plan, number + 1, log) for number in range(settings.distill_teachers)]
    mean = np.mean(probabilities, axis=0)
    targets = mix_targets(train.shares(plan.spec.classes), mean, settings.distill_weight)
    return fit(replace(plan, data=replace(plan.data, train=replace(train, targets=targets))), on_epoch, on_outputs)


def teacher_probabilities(plan: Fit, number: int, log: Callable[[str], None] | None = None) -> NDArray[np.float32]:
    """Return a teacher's probabilities (n, classes) of the training part's plain views, fitted if there are none yet.

    `number` counts from 1; other arguments as in `fit_distilled`.
    """
    path = plan.folder / f"teacher-{number}.npy"
    if not path.exists():
        teacher = teacher_plan(plan, number, path.with_suffix(""))
        fitted = fit(teacher)
        probabilities = softmax(_predict(teacher, fitted.weights).astype(np.float64), axis=1).astype(np.float32)
        with whole_file(path) as beside, beside.open("wb") as file:
            np.save(file, probabilities, allow_pickle=False)
        shutil.rmtree(teacher.folder, ignore_errors=True)
        if log is not None:
            loss = fitted.history[fitted.best_epoch - 1].validation_loss
            log(f"teacher {number}/{plan.settings.distill_teachers}: validation loss {loss:.3f}")
    return np.asarray(np.load(path, allow_pickle=False))


def teacher_plan(plan: Fit, number: int, folder: Path) -> Fit:
    """Return the fit of a teacher: the plan with another seed and folder, and without teachers."""
    seed = int(np.random.SeedSequence([plan.seed, number, _TEACHERS]).generate_state(1)[0]) >> 1  # below 2^31
    return replace(plan, seed=seed, folder=folder, settings=plan.settings.model_copy(update={"distill_teachers": 0}))


def mix_targets(shares: NDArray[np.float32], probabilities: NDArray, weight: float) -> NDArray[np.float32]:
    """Return targets of which a share `weight` is the teachers' and the rest the label's, (n, classes) float32.

    Parameters
    ----------
    shares : (n, classes)
        What the labels say, times the sample's weight. A sample keeps its weight: an unlabelled one stays without.
    probabilities : (n, classes)
        The teachers' mean.
    weight : float
        In [0, 1].
    """
    of_samples = shares.sum(axis=1, keepdims=True)
    return np.asarray(weight * of_samples * probabilities + (1 - weight) * shares, np.float32)


def _predict(plan: Fit, weights: list[NDArray]) -> NDArray:
    """Return a network's outputs (n, classes) for the plain views of the training part, in its order."""
    with plan.device.strategy().scope():
        network = plan.spec.build(plan.device.precision)
    network.set_weights(weights)
    feed = Feed(plan.spec, plan.data, plan.settings, plan.seed)
    return np.asarray(network.predict(feed.training_views(), verbose=0))
