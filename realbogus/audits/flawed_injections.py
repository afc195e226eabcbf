"""Injections spoiled on purpose, each by one give-away, to see that the check of that give-away finds it.

They are laid into a frame before a visit is worked on, so that the chain meets them as it meets the scene's own light.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from realbogus.frames import Frame
from realbogus.injection.inject import Hosts, Injections, InjectionSettings, inject, plan_injections
from realbogus.psf.kernels import polynomial_terms
from realbogus.psf.measure import PsfModel


class Flaw(StrEnum):
    """What is wrong with an injection."""

    QUANTISATION = "quantisation"
    """Its light is not digitised."""
    NOISE_FREE = "noise_free"
    """It has no photon noise."""
    ONE_PSF = "one_psf"
    """It has the PSF of the chip's corner wherever it lies."""
    PHASE = "phase"
    """It lies in the middle of a pixel."""
    CENTRING = "centring"
    """Its stamp is cut where it was laid, not where it was detected."""
    PASTED = "pasted"
    """It is in the difference but not in the new frame."""


@dataclass(frozen=True)
class FlawedInjections:
    """Spoiled injections of one frame: what they are, and what each pixel got, (y, x) float32 counts."""

    spoil: Flaw
    injections: Injections
    image: np.ndarray

    @property
    def places(self) -> np.ndarray:
        """Return where they lie, (n, 2) pixels."""
        return np.column_stack([self.injections.x, self.injections.y])


def inject_flawed(
    frame: Frame, psf: PsfModel, hosts: Hosts, settings: InjectionSettings, spoil: Flaw, rng: np.random.Generator
) -> tuple[Frame, FlawedInjections]:
    """Lay injections into a frame as the chain does, but for one thing; return the frame and what was laid.

    What is wrong with `CENTRING` and `PASTED` is done when the stamps are gathered.
    """
    injections = plan_injections(frame, psf, hosts, settings, rng)
    if spoil is Flaw.PHASE:
        injections = replace(injections, x=np.floor(injections.x + 0.5), y=np.floor(injections.y + 0.5))
    if spoil is Flaw.ONE_PSF:
        psf = _freeze(psf)
    laid = _lay(frame, psf, injections, spoil, rng)
    return laid, FlawedInjections(spoil, injections, np.nan_to_num(laid.pixels - frame.pixels))


def _lay(frame: Frame, psf: PsfModel, injections: Injections, spoil: Flaw, rng: np.random.Generator) -> Frame:
    if spoil is Flaw.NOISE_FREE:
        light = psf.draw(injections.x, injections.y, injections.flux_counts, frame.shape)
        light = np.round(light / frame.quantum_counts) * frame.quantum_counts if frame.quantum_counts > 0 else light
        return frame.with_pixels(np.minimum(frame.pixels + light, frame.saturation_counts), frame.mask)
    quantum = 0.0 if spoil is Flaw.QUANTISATION else frame.quantum_counts
    laid, _ = inject(replace(frame, quantum_counts=quantum), psf, injections, rng)
    return replace(laid, quantum_counts=frame.quantum_counts)


def _freeze(psf: PsfModel) -> PsfModel:
    """Return the PSF of the chip's first pixel as a model that does not vary."""
    terms = polynomial_terms(np.zeros(1), np.zeros(1), psf.shape, psf.order)[0]
    return replace(
        psf,
        spectra=np.tensordot(terms, psf.spectra, 1)[None],
        jackknife=np.tensordot(psf.jackknife, terms, (1, 0))[:, None],
        order=0,
    )
