"""How far answers can be trusted: agreement of two labellers, and the share of gold items that each got right."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from tasks.labelling.answers import Answer, standing_answers
from tasks.learning.measures import cohen_kappa, pair_counts, rate


def agreement_of(answers: Iterable[Answer], gold: Mapping[str, str], words: tuple[str, ...]) -> dict[str, Any]:
    """Return the agreement of the labellers of a queue, of what stands.

    Parameters
    ----------
    answers : iterable of Answer
        In the order of the log, of one queue.
    gold : mapping
        Right answer by sample.
    words : tuple of str
        What may be answered. Unsure is a class of its own for kappa, and no right answer to a gold item.

    Returns
    -------
    dict
        ``labellers``: number of answers and skips by labeller, with the share of right gold answers and its interval;
        ``pairs``: Cohen's (1960) kappa of each two over the samples that both answered, gold left out; None where both
        always gave the same one answer.
    """
    standing = standing_answers(answers)
    given: dict[str, dict[str, str]] = defaultdict(dict)
    for answer in standing:
        if answer.label is not None:
            given[answer.labeller][answer.sample] = answer.label
    skipped = [answer.labeller for answer in standing if answer.action == "skip"]
    labellers = {
        name: {"answers": len(given[name]), "skips": skipped.count(name), **_gold_score(given[name], gold)}
        for name in sorted({answer.labeller for answer in standing})
    }
    pairs = []
    for one, two in combinations(sorted(given), 2):
        common = sorted((given[one].keys() & given[two].keys()) - gold.keys())
        if common:
            first, second = (np.array([words.index(given[name][each]) for each in common]) for name in (one, two))
            counts = pair_counts(first, second, len(words))
            kappa = cohen_kappa(counts)
            pairs.append(
                {
                    "labellers": [one, two],
                    "samples": len(common),
                    "agreed": int(np.trace(counts)),
                    "kappa": float(kappa) if np.isfinite(kappa) else None,
                }
            )
    return {"labellers": labellers, "pairs": pairs}


def _gold_score(given: Mapping[str, str], gold: Mapping[str, str]) -> dict[str, Any]:
    asked = [sample for sample in given if sample in gold]
    right = sum(given[sample] == gold[sample] for sample in asked)
    return {"gold": len(asked), "gold_right": right, **rate(right, len(asked)).to_summary("gold_accuracy")}
