"""The rows of a chip-visit's candidates, from hand-made detections and injections: every column in exact numbers."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from realbogus.injection.candidate_table import CANDIDATES, MatchedVisit, tabulate
from realbogus.injection.host_galaxies import no_hosts
from realbogus.injection.inject import Hosts, Injections
from realbogus.psf.model import constant_psf
from realbogus.subtraction.detection import Detections
from tests.star_field import gaussian_stamp, plain_frame

SHAPE = (60, 80)
PSF = constant_psf(gaussian_stamp(15, 1.5), SHAPE)
LIMIT = 2.0 / np.sqrt((gaussian_stamp(15, 1.5) ** 2).sum())
FRAME = replace(plain_frame(np.zeros(SHAPE), rms=2.0), zero_point_mag=25.0, pixel_arcsec=0.5)
HOSTS = Hosts(*(np.array(v) for v in ([10.0, 50.0], [20.0, 20.0], [1, 1], [2.0, 0.02], [1, 1], [0, 0], [18.0, 19.0])))
STAMPS = np.ones((3, 11, 11, 3), np.float32)
STAMPS[0, ..., 2] = 4
STAMPS[1, :, :5, 2], STAMPS[1, :, 5:, 2] = 2, np.nan
STAMPS[2, ..., 2] = np.nan


def detections():
    return Detections(
        x=np.array([10.0, 30.0, 52.0]),
        y=np.array([20.0, 40.0, 20.0]),
        snr=np.array([9.0, 8.0, 7.0], np.float32),
        flux_counts=np.array([100.0, -1.0, 50.0]),
        flux_error_counts=np.ones(3),
        fwhm_px=np.array([3.0, np.nan, 4.0]),
        axis_ratio=np.array([0.9, np.nan, 0.5]),
        positive=np.ones(3, bool),
        edge_distance_px=np.array([10.0, 19.0, 20.0]),
        masked_fraction=np.array([0.0, 0.25, 0.5]),
        saturated=np.array([False, True, False]),
    )


def injections():
    return Injections(
        x=np.array([70.0, 52.5, 5.0]),
        y=np.array([10.0, 20.5, 5.0]),
        flux_counts=np.array([1e3, 60.0, 10.0]),
        kind=np.array(["galaxy_injection", "random_injection", "random_injection"]),
        host=np.array([1, -1, -1]),
        host_separation_arcsec=np.array([3.0, np.nan, np.nan]),
        host_separation_re=np.array([1.5, np.nan, np.nan]),
        host_mag=np.array([19.0, np.nan, np.nan]),
        realisation=np.array([4, 2, 0]),
    )


def visit(**changes):
    """Three detections and three injections, of which the second is the third detection."""
    usual = MatchedVisit(
        detections=detections(),
        injections=injections(),
        matched=np.array([-1, 2, -1]),
        detected_before=np.array([False, True, False]),
        by_chance=np.array([True, False, True]),
        reasons=[None, "edge", None],
        stamps=STAMPS,
        frame=FRAME,
        psf=PSF,
        hosts=HOSTS,
    )
    return replace(usual, **changes)


EXPECTED = {
    "number": [0] * 5,
    "kind": ["detection", "detection", "random_injection", "galaxy_injection", "random_injection"],
    "label": ["bogus", "bogus", "real", None, None],
    "reason": [None, "edge", None, "not_detected", "not_detected"],
    "ra_deg": [None] * 5,
    "dec_deg": [None] * 5,
    "x_px": [10, 30, 52, 70, 5],
    "y_px": [20, 40, 20, 10, 5],
    "snr": [9, 8, 7, None, None],
    "flux_counts": [100, -1, 50, None, None],
    "mag": [20, None, 25 - 2.5 * np.log10(50), None, None],
    "fwhm_px": [3, None, 4, None, None],
    "axis_ratio": [0.9, None, 0.5, None, None],
    "edge_distance_px": [10, 19, 20, None, None],
    "masked_fraction": [0, 0.25, 0.5, None, None],
    "saturated": [False, True, False, None, None],
    # half an arcsec a pixel; the first galaxy has 2 arcsec, the second counts as 0.1
    "galaxy_separation_re": [0, np.hypot(20, 20) / 4, 10, np.hypot(60, 10) / 4, np.hypot(5, 15) / 4],
    "injected_x_px": [None, None, 52.5, 70, 5],
    "injected_y_px": [None, None, 20.5, 10, 5],
    "injected_flux_counts": [None, None, 60, 1e3, 10],
    "injected_mag": [None, None, 25 - 2.5 * np.log10(60), 17.5, 22.5],
    "injected_snr": [None, None, 60 / LIMIT, 1e3 / LIMIT, 10 / LIMIT],
    "host_separation_arcsec": [None, None, None, 3, None],
    "host_separation_re": [None, None, None, 1.5, None],
    "host_mag": [None, None, None, 19, None],
    "psf_realisation": [None, None, 2, 4, 0],
    "found": [None, None, True, False, False],
    "chance_match": [None, None, False, True, True],
    "detected_before": [None, None, True, False, False],
    "finite_fraction": [1, (2 + 5 / 11) / 3, 2 / 3, None, None],
    "mean": [4, 2, None, None, None],
    "std": [0, 0, None, None, None],
}


def test_every_column_of_every_candidate():
    table = tabulate(visit())
    assert table.schema.equals(CANDIDATES)
    rows = table.to_pydict()
    assert list(rows) == list(EXPECTED)
    for name, expected in EXPECTED.items():
        assert [value is None for value in rows[name]] == [value is None for value in expected], name
        for value, wanted in zip(rows[name], expected, strict=True):
            assert value == (
                pytest.approx(wanted, rel=1e-4, abs=1e-9) if isinstance(wanted, float | int) else wanted
            ), name


def test_mean_and_deviation_are_of_the_difference_alone():
    stamps = STAMPS.copy()
    stamps[0, 0, 0, 2], stamps[0, ..., 0], stamps[0, ..., 1] = 125, 7, np.arange(11)
    rows = tabulate(visit(stamps=stamps)).to_pydict()
    assert rows["mean"][0] == pytest.approx(5, rel=1e-6)
    assert rows["std"][0] == pytest.approx(np.sqrt(120), rel=1e-5)
    assert tabulate(visit(stamps=np.full_like(STAMPS, np.nan)))["mean"].null_count == 5


def test_without_a_zero_point_magnitudes_are_instrumental():
    rows = tabulate(visit(frame=replace(FRAME, zero_point_mag=None))).to_pydict()
    assert rows["mag"][0] == pytest.approx(-5)
    assert rows["injected_mag"][3] == pytest.approx(-7.5)


def test_positions_on_the_sky_are_those_of_the_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.crpix, wcs.wcs.crval, wcs.wcs.cdelt = [31, 41], [0.0, 10.0], [-1 / 3600, 1 / 3600]
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    rows = tabulate(visit(frame=replace(FRAME, wcs=wcs))).to_pydict()
    assert (rows["ra_deg"][1], rows["dec_deg"][1]) == pytest.approx((0, 10), abs=1e-9)
    assert 359.9 < rows["ra_deg"][2] < 360
    assert rows["dec_deg"][3] == pytest.approx(10 - 30 / 3600, abs=1e-6)


def test_without_galaxies_nothing_is_near_one():
    assert tabulate(visit(hosts=no_hosts()))["galaxy_separation_re"].null_count == 5


def test_one_galaxy_is_enough():
    single = Hosts(*(getattr(HOSTS, name)[:1] for name in HOSTS.__dataclass_fields__))
    assert tabulate(visit(hosts=single))["galaxy_separation_re"].to_pylist()[2] == pytest.approx(42 / 4)


def test_no_detection_and_no_injection_is_an_empty_table():
    nobody = Injections(*(values[:0] for values in vars(injections()).values()))
    nothing = visit(
        detections=detections().take(np.zeros(0, int)),
        injections=nobody,
        matched=np.zeros(0, int),
        by_chance=np.zeros(0, bool),
        reasons=[],
        stamps=STAMPS[:0],
    )
    table = tabulate(nothing)
    assert table.num_rows == 0
    assert table.schema.equals(CANDIDATES)
    only = tabulate(replace(visit(), injections=nobody, matched=np.zeros(0, int), by_chance=np.zeros(0, bool)))
    assert only["kind"].to_pylist() == ["detection"] * 3
    assert only["injected_x_px"].null_count == 3


def test_the_first_detection_can_be_the_first_injection():
    rows = tabulate(visit(matched=np.array([0, -1, 1]))).to_pydict()
    assert rows["kind"] == ["galaxy_injection", "random_injection", "detection", "random_injection"]
    assert rows["found"] == [True, True, None, False]
    assert rows["label"] == ["real", "real", "bogus", None]
    assert rows["injected_x_px"] == [70, 5, None, 52.5]
    assert rows["x_px"] == [10, 30, 52, 52.5]


def test_one_detection_of_no_flux_has_no_magnitude():
    alone = visit(
        detections=replace(detections(), flux_counts=np.zeros(3)).take(np.array([1])),
        injections=Injections(*(values[:0] for values in vars(injections()).values())),
        matched=np.zeros(0, int),
        by_chance=np.zeros(0, bool),
        reasons=["edge"],
        stamps=STAMPS[:1],
    )
    (row,) = tabulate(alone).to_pylist()
    assert (row["flux_counts"], row["mag"], row["reason"]) == (0, None, "edge")
    assert row["galaxy_separation_re"] == pytest.approx(np.hypot(20, 20) / 4)
