"""The named choices of trainings that both problems share; this module imports nothing heavy."""

from typing import Literal

RelabelStage = Literal["folds", "select", "retrain"]
"""The stages of a relabelling, in order."""
