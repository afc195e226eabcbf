"""Injections with one deliberate flaw each, to test that the check of that flaw fails.

They are injected before a visit is processed, so the pipeline treats them as it treats the scene's own light.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from realbogus.frames import Frame
from realbogus.injection.inject import Hosts, Injections, InjectionSettings, inject, plan_injections
from realbogus.psf.kernels import polynomial_terms
from realbogus.psf.measure import PsfModel


class Flaw(StrEnum):
    """A deliberate flaw of an injection."""

    QUANTISATION = "quantisation"
    """Its light is not digitised."""
    NOISE_FREE = "noise_free"
    """It has no photon noise."""
    ONE_PSF = "one_psf"
    """It has the PSF of the chip's first pixel at every position."""
    PHASE = "phase"
    """It is at the centre of a pixel."""
    CENTRING = "centring"
    """Its stamp is cut at the position of the injection instead of the detection."""
    PASTED = "pasted"
    """It is in the difference but not in the new frame."""


@dataclass(frozen=True)
class FlawedInjections:
    """Injections of one frame with a flaw; `image` is their light as added to each pixel, (y, x) float32 counts."""

    flaw: Flaw
    injections: Injections
    image: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        """Return the positions in x and y, (n, 2) pixels."""
        return np.column_stack([self.injections.x, self.injections.y])


def inject_flawed(
    frame: Frame, psf: PsfModel, hosts: Hosts, settings: InjectionSettings, flaw: Flaw, rng: np.random.Generator
) -> tuple[Frame, FlawedInjections]:
    """Inject sources into a frame as a build does, apart from one flaw; return the new frame and the injections.

    The flaws `CENTRING` and `PASTED` are applied when the stamps are gathered.
    """
    injections = plan_injections(frame, psf, hosts, settings, rng)
    if flaw is Flaw.PHASE:
        injections = replace(injections, x=np.floor(injections.x + 0.5), y=np.floor(injections.y + 0.5))
    if flaw is Flaw.ONE_PSF:
        psf = _freeze(psf)
    injected = _inject(frame, psf, injections, flaw, rng)
    return injected, FlawedInjections(flaw, injections, np.nan_to_num(injected.pixels - frame.pixels))


def _inject(frame: Frame, psf: PsfModel, injections: Injections, flaw: Flaw, rng: np.random.Generator) -> Frame:
    """Return the frame with the injections, without noise or digitisation if that is the flaw."""
    if flaw is Flaw.NOISE_FREE:
        light = psf.draw(injections.x, injections.y, injections.flux_counts, frame.shape)
        light = np.round(light / frame.quantum_counts) * frame.quantum_counts if frame.quantum_counts > 0 else light
        return frame.with_pixels(np.minimum(frame.pixels + light, frame.saturation_counts), frame.mask)
    quantum = 0.0 if flaw is Flaw.QUANTISATION else frame.quantum_counts
    injected, _ = inject(replace(frame, quantum_counts=quantum), psf, injections, rng)
    return replace(injected, quantum_counts=frame.quantum_counts)


def _freeze(psf: PsfModel) -> PsfModel:
    """Return the PSF of the chip's first pixel as a model without variation."""
    terms = polynomial_terms(np.zeros(1), np.zeros(1), psf.shape, psf.order)[0]
    return replace(
        psf,
        spectra=np.tensordot(terms, psf.spectra, 1)[None],
        jackknife=np.tensordot(psf.jackknife, terms, (1, 0))[:, None],
        order=0,
    )
