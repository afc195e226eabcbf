"""Soft labels: the share of each class of a scheme by the volunteers' votes.

At every question the debiased fractions are divided by their sum (Hart's do not sum to 1). A leaf of the decision tree
has the product of the fractions along its path, a class the sum of its leaves. What the scheme excludes is left out,
and the shares of the classes are divided by their sum.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxy.labels.schemes import Scheme
from galaxy.labels.votes import QUESTIONS, every_class, question_values

FRACTION = "fraction_"
"""Prefix of the columns of soft labels; the class's name follows."""


def soft_labels(scheme: Scheme, catalogue: pa.Table) -> NDArray[np.float32] | None:
    """Return the shares of a scheme's classes for every row of a catalogue.

    Parameters
    ----------
    scheme : Scheme
    catalogue : Table
        ``debiased`` columns of the questions that the scheme tests, and of those before them.

    Returns
    -------
    (rows, classes) float32 or None
        Rows sum to 1. A row is NaN where a question without votes leaves a part of it unknown, or where all of it is
        excluded. None where the scheme has no questions or the catalogue lacks their columns.
    """
    leaves = class_leaves(scheme) if scheme.grammar == "gz2" else {}
    questions = {question for path in leaves for question, _ in path}
    needed = {f"{question}_{answer}_debiased" for question in questions for answer in QUESTIONS[question]}
    if not needed or not needed <= set(catalogue.column_names):
        return None
    shares = {question: _normalised(question_values(catalogue, question, "debiased")) for question in questions}
    total = np.zeros((catalogue.num_rows, len(scheme.classes)))
    for path, position in leaves.items():
        total[:, position] += _product([shares[question][:, answer] for question, answer in path])
    included = total.sum(axis=1, keepdims=True)
    return np.divide(total, included, out=np.full_like(total, np.nan), where=included > 0).astype(np.float32)


def class_leaves(scheme: Scheme) -> dict[tuple[tuple[str, int], ...], int]:
    """Return the leaves of the decision tree, cut behind the last question that the scheme tests, which have a label.

    A leaf is its path, pairs of question and index of the answer; its value is the position of the class.
    """
    leaves = {}
    for case in every_class():
        label = scheme.assign(str(case)).label
        if label is not None:
            leaves[tuple(case.answers(scheme.tested_fields).items())] = scheme.classes.index(label)
    return leaves


def _normalised(fractions: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return fractions (rows, answers) over their sum, a missing one as 0; NaN where no answer has votes."""
    known = np.nan_to_num(fractions.astype(np.float64))
    total = known.sum(axis=1, keepdims=True)
    return np.divide(known, total, out=np.full_like(known, np.nan), where=total > 0)


def _product(shares: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the product of shares (rows,); 0 where one is 0, whatever the others: nobody was asked behind it."""
    stacked = np.stack(shares)
    return np.where((stacked == 0).any(axis=0), 0.0, stacked.prod(axis=0))
