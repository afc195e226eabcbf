"""The named choices of the study flows; this module imports nothing heavy."""

from typing import Literal

BenchHandling = Literal["none", "remove", "unlabel", "confident"]
"""What `label-noise-bench` does with suspect labels; the rules are in `tasks.studies.row_training.HANDLINGS`."""
StudyHandling = Literal["none", "remove", "unlabel", "flip", "confident"]
"""The rules and handlings of suspects in any study."""
InjectionFlaw = Literal["none", "quantisation", "noise_free", "one_psf", "phase", "centring", "pasted"]
"""A property given to injections on purpose, which `check-giveaways` must find."""
