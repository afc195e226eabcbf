"""The answer of a real/bogus evaluation: is this model better than what it is compared with, and is that known?"""

from collections.abc import Mapping
from typing import Any

from tasks.learning.intervals import format_ends
from tasks.reports.page import Answer
from tasks.reports.sufficiency import rate_sufficiency
from tasks.training.evaluation_record import EvaluationContext


def evaluation_answer(summary: Mapping[str, Any], context: EvaluationContext) -> Answer:
    """Return the answer from the evaluation's summary (`tasks.candidates.metrics.summarise`)."""
    against = summary.get("against")
    point = summary["points"]["tpr90"]
    data, advice = rate_sufficiency(
        point["passed"], point["negatives"], point["fpr_low"], point["fpr_high"], "bogus", context.visits
    )
    return Answer(
        text=_over_untrained(summary["best_untrained"]) if against is None else _over_model(against),
        evidence=f"{_rate(point)} {_stored_threshold(summary)}({context.origin}.)",
        data=data,
        advice=advice,
    )


def _over_model(against: Mapping[str, Any]) -> str:
    """Return the sentence on a second model, by the paired ratio of the false-positive rates."""
    name, (ratio, low, high) = against["model"], against["fpr_at_tpr90_ratio"]
    if None in (ratio, low, high):
        return f"Whether this model is better than {name} cannot be said: there is no interval of their ratio."
    if low > 1:
        return f"This model is better than {name}: {ratio:.2f} ({low:.2f} to {high:.2f}) times fewer bogus pass."
    if high < 1:
        ends = f"{1 / high:.2f} to {1 / low:.2f}" if low > 0 else f"at least {1 / high:.2f}"
        return f"This model is worse than {name}: {1 / max(ratio, 1e-9):.2f} ({ends}) times as many bogus pass."
    return (
        f"No difference from {name} is shown: its false-positive rate is {ratio:.2f} ({low:.2f} to {high:.2f}) times "
        "this model's."
    )


def _over_untrained(best: Mapping[str, Any]) -> str:
    """Return the sentence on the best score that needs no training, by the paired lead of the AUC."""
    lead = f"AUC {best['auc_of_network']:.3f} against {best['auc']:.3f} of {best['name']}"
    low, high = best["lead_low"], best["lead_high"]
    ends = f"lead {format_ends(low, high, '+.3f')}"
    if low is None or high is None:
        return f"Whether this model separates better than a single number of the stamp is not known: {lead}, {ends}."
    if low > 0:
        return f"This model separates real from bogus better than any score that needs no training: {lead}, {ends}."
    if high < 0:
        return f"A score that needs no training separates better than this model: {lead}, {ends}."
    return f"No lead over the best score that needs no training is shown: {lead}, {ends}."


def _rate(point: Mapping[str, Any]) -> str:
    if not point["resolved"]:
        return f"At TPR 0.9 fewer than {point['fpr_limit']:.2%} of the bogus pass (upper 95 % limit)."
    return (
        f"At TPR 0.9 {point['fpr']:.2%} ({format_ends(point['fpr_low'], point['fpr_high'], '.2%')}) of the bogus pass."
    )


def _stored_threshold(summary: Mapping[str, Any]) -> str:
    """Return what the threshold keeps and lets pass that the model has from its validation part."""
    stored = summary["at_card_thresholds"].get("tpr90")
    if stored is None:
        return ""
    passed = f"{stored['fpr']:.2%}" if stored["resolved"] else f"fewer than {stored['fpr_limit']:.2%}"
    return (
        f"Its own threshold for 0.9 keeps {stored['tpr']:.3f} of the reals here and lets {passed} of the bogus pass. "
    )
