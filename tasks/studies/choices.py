"""The named choices of the study flows; this module imports nothing heavy."""

from typing import Literal

BenchHandling = Literal[
    "none",
    "none-last",
    "label-wave",
    "remove",
    "unlabel",
    "consistency",
    "confident",
    "two-views",
    "dynamics",
    "anchored-unlabel",
    "anchored-consistency",
    "anchored-confident",
    "anchored-two-views",
    "anchored-dynamics",
    "hidden-reals",
    "hidden-reals-flip",
    "recurrence-unlabel",
    "recurrence-two-views",
    "gce",
    "ce-eps-mae",
    "nnpu",
    "elr",
]
"""What `label-noise-bench` does about wrong labels; the methods are in `tasks.studies.handlings`."""
StudyHandling = Literal[BenchHandling, "flip"]
"""The same in any study."""
InjectionFlaw = Literal["none", "quantisation", "noise_free", "one_psf", "phase", "centring", "pasted"]
"""A property given to injections on purpose, which `check-giveaways` must find."""
