"""The answer of a galaxy evaluation: is this model better than its baselines, and is that known?"""

from tasks.galaxies.metrics import GalaxyEvaluation
from tasks.reports.page import Answer
from tasks.reports.sufficiency import LEAST_OF_A_CLASS, share_sufficiency


def evaluation_answer(evaluation: GalaxyEvaluation) -> Answer:
    """Return the answer: the paired lead over the best baseline, and the accuracy with its interval."""
    model = evaluation.model
    accuracy, count = model.accuracy, len(model.part)
    data, advice = share_sufficiency(count, accuracy.low, accuracy.high, "samples")
    few = [name for name, score in model.per_class.items() if score.labelled < LEAST_OF_A_CLASS]
    if few:
        data = "little" if data == "enough" else data
        advice += f" Fewer than {LEAST_OF_A_CLASS} samples have the class {', '.join(few)}: its recall is not known."
    right = f"{accuracy.value:.3f} ({accuracy.ends('.3f')})"
    return Answer(
        text=_over_baselines(evaluation),
        evidence=f"It is right for {right} of {count:,} samples, macro-F1 {model.macro_f1.value:.3f} "
        f"({model.macro_f1.ends('.3f')}), {len(model.classes)} classes. ({evaluation.context.origin}.)",
        data=data,
        advice=advice,
    )


def _over_baselines(evaluation: GalaxyEvaluation) -> str:
    compared = [line for line in evaluation.baselines if line.model_over_this is not None]
    if not compared:
        return (
            f"This model is right for {evaluation.model.accuracy.value:.1%}; there is no baseline to compare it with."
        )
    best = max(compared, key=lambda line: line.accuracy.value)
    lead = best.model_over_this
    assert lead is not None
    said = f"{lead.value:+.3f} ({lead.ends('+.3f')}) in accuracy".replace("-", "\N{MINUS SIGN}")
    if lead.low > 0:
        return f"This model is better than the best baseline, {best.name}: {said}."
    if lead.high < 0:
        return f"This model is worse than the best baseline, {best.name}: {said}."
    return f"No lead over the best baseline, {best.name}, is shown: {said}."
