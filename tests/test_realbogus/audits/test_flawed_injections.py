"""Injections with one deliberate flaw: each differs from a proper injection in that flaw only."""

from dataclasses import replace

import numpy as np
import pytest

from realbogus.audits.flawed_injections import Flaw, inject_flawed
from realbogus.injection.inject import InjectionSettings, inject, plan_injections
from realbogus.psf.measure import measure_psf

FEW = InjectionSettings(per_visit=6, brightest_snr=200, faintest_snr=50)


def test_a_flaw_changes_one_thing(case):
    """Two bright sources of one PSF have its stamp wherever they lie; a source without noise is the PSF itself."""
    clean = case.simulated.pair.new
    measured = measure_psf(clean)
    psf = replace(measured, jackknife=measured.jackknife[:0])
    settings = InjectionSettings(per_visit=1, brightest_snr=3000, faintest_snr=2999, galaxy_fraction=0)
    rng = np.random.default_rng(1)
    for flaw, frozen in ((Flaw.NOISE_FREE, False), (Flaw.ONE_PSF, True), (Flaw.QUANTISATION, False)):
        frame, injected = inject_flawed(clean, psf, case.hosts, settings, flaw, rng)
        (x,), (y,) = injected.injections.x, injected.injections.y
        column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        at = (x - column, y - row) if frozen else (x, y)
        expected = psf.at(*(np.array([place]) for place in at))[0] * injected.injections.flux_counts[0]
        middle = psf.size // 2
        expected = expected[middle - 3 : middle + 4, middle - 3 : middle + 4]
        drawn = injected.image[row - 3 : row + 4, column - 3 : column + 4]
        noise = 0.51 if flaw is Flaw.NOISE_FREE else 5 * np.sqrt(expected.max() / clean.gain_e_per_count)
        assert np.abs(drawn - expected).max() < noise
        fraction = np.abs(frame.pixels - np.round(frame.pixels))[row - 3 : row + 4, column - 3 : column + 4]
        assert (fraction.max() > 0.1) == (flaw is Flaw.QUANTISATION)


@pytest.fixture(scope="module")
def clean_psf_hosts(cases):
    case = cases["new"]
    clean = case.simulated.pair.new
    return clean, measure_psf(clean), case.hosts


@pytest.mark.parametrize("flaw", [Flaw.CENTRING, Flaw.PASTED])
def test_flaws_of_the_stamp_leave_the_frame_as_a_proper_injection_does(clean_psf_hosts, flaw):
    clean, psf, hosts = clean_psf_hosts
    frame, flawed = inject_flawed(clean, psf, hosts, FEW, flaw, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    proper, _ = inject(clean, psf, plan_injections(clean, psf, hosts, FEW, rng), rng)
    np.testing.assert_array_equal(frame.pixels, proper.pixels)
    assert flawed.flaw is flaw
    np.testing.assert_array_equal(flawed.image, np.nan_to_num(frame.pixels - clean.pixels))
    assert frame.quantum_counts == clean.quantum_counts


def test_the_phase_flaw_moves_injections_to_the_nearest_pixel_centre(clean_psf_hosts):
    clean, psf, hosts = clean_psf_hosts
    _, flawed = inject_flawed(clean, psf, hosts, FEW, Flaw.PHASE, np.random.default_rng(3))
    planned = plan_injections(clean, psf, hosts, FEW, np.random.default_rng(3))
    assert flawed.positions.shape == (len(planned.x), 2)
    np.testing.assert_array_equal(flawed.positions, np.floor(np.column_stack([planned.x, planned.y]) + 0.5))
    assert (planned.x != np.floor(planned.x)).any()


def test_quantisation_keeps_the_frame_s_own_quantum(clean_psf_hosts):
    clean, psf, hosts = clean_psf_hosts
    frame, _ = inject_flawed(clean, psf, hosts, FEW, Flaw.QUANTISATION, np.random.default_rng(3))
    assert frame.quantum_counts == clean.quantum_counts > 0
