"""What every evaluation of a model records, whatever its problem."""


class EvaluationError(ValueError):
    """A model cannot be judged on this part of this dataset."""
