import time
from collections.abc import Callable

import galsim
import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_predict

from galaxy.images.footprint import NORTH_DEC_DEG, inside_footprint
from galaxy.labels.labelling import label_rows
from galaxy.labels.schemes import load_scheme
from galaxy.simulation.camera import SkyCamera
from galaxy.simulation.rendering import NATIVE_ARCSEC, Sources, draw_light, render, working_grid
from galaxy.simulation.synthetic_sky import synthetic_sky

RA, DEC = 180.0, 20.0
Row = dict[str, object]


@pytest.fixture(scope="module")
def galaxy_of() -> Callable[..., Row]:
    """A galaxy of a true class in the middle of the field, with some of its parameters set."""
    rows = synthetic_sky(500, seed=0).truth.to_pylist()

    def pick(truth: str, **changes: object) -> Row:
        found = next(row for row in rows if row["truth"] == truth and row["odd"] == "none")
        return found | {"ra_deg": RA, "dec_deg": DEC, "r90_arcsec": 20.0, "r_mag": 15.0} | changes

    return pick


@pytest.fixture(scope="module")
def camera() -> SkyCamera:
    return SkyCamera(2000, seed=0)


def _star(ra_deg: float, dec_deg: float, r_flux: float = 300.0) -> Sources:
    one = np.ones(1)
    flux = np.array([[r_flux * 0.6, r_flux, r_flux * 1.2]])
    return Sources(np.array([ra_deg]), np.array([dec_deg]), flux, 0 * one, one, 0 * one)


def _light(row: Row, size_px: int = 200) -> np.ndarray:
    """The galaxy's noiseless r-band light on native pixels."""
    grid = working_grid(RA, DEC, NATIVE_ARCSEC, size_px, size_px)
    return draw_light(grid, [row], None, 1.0)[1].astype(float)


def _moments(light: np.ndarray) -> np.ndarray:
    """The 2x2 covariance of (row, column) weighted by light."""
    places = np.indices(light.shape).reshape(2, -1)
    return np.cov(places, aweights=np.clip(light, 0, None).ravel())


@pytest.mark.parametrize("truth", ["E0", "E7", "Sc", "SBb", "edge_on"])
def test_flux_is_the_catalogues(galaxy_of: Callable[..., Row], truth: str):
    row = galaxy_of(truth, r90_arcsec=12.0, dust=0.0)
    assert _light(row, 400).sum() == pytest.approx(10 ** ((22.5 - 15.0) / 2.5), rel=0.03)


@pytest.mark.parametrize("truth", ["E7", "Sb", "edge_on"])
@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 90.0, 140.0])
def test_position_angle_runs_from_north_to_east(galaxy_of: Callable[..., Row], truth: str, angle_deg: float):
    row = galaxy_of(truth, position_angle_deg=angle_deg, axis_ratio=0.35, bar_strength=0.0, clumps=0)
    row |= {"arm_contrast": 0.0, "dust": 0.0}
    values, vectors = np.linalg.eigh(_moments(_light(row)))
    up, left = -vectors[0, 1], -vectors[1, 1]
    measured = np.degrees(np.arctan2(left, up)) % 180
    assert values[1] > 2 * values[0]
    assert abs((measured - angle_deg + 90) % 180 - 90) < 3


def test_a_smooth_galaxy_has_the_axis_ratio_it_was_given(galaxy_of: Callable[..., Row]):
    row = galaxy_of("E3", axis_ratio=0.6, sersic_n=1.0, bulge_fraction=1.0, r90_arcsec=30.0)
    values = np.linalg.eigvalsh(_moments(_light(row, 400)))
    assert np.sqrt(values[0] / values[1]) == pytest.approx(0.6, abs=0.02)


def test_a_bar_lies_where_its_angle_says(galaxy_of: Callable[..., Row]):
    for angle_rad in (0.3, 1.2):
        row = galaxy_of("SBc", axis_ratio=1.0, position_angle_deg=0.0, bar_angle_rad=angle_rad, bar_strength=1.0)
        row |= {"bulge_fraction": 0.0, "arm_contrast": 0.0, "clumps": 0, "dust": 0.0, "bar_r90_share": 0.5}
        barred, plain = _light(row), _light(row | {"bar_strength": 0.0})
        bar = np.clip(barred / barred.sum() - plain / plain.sum(), 0, None)
        _, vectors = np.linalg.eigh(_moments(bar))
        # With the major axis to the north, in-plane angles run from north to west (draw_disc's minor axis).
        measured = np.arctan2(vectors[1, 1], vectors[0, 1]) % np.pi
        assert min(abs(measured - sign * angle_rad % np.pi) for sign in (1, -1)) < 0.08


def test_arms_and_bars_leave_marks_that_smooth_discs_lack(galaxy_of: Callable[..., Row]):
    """Light that changes under a half-circle's mirror image is structure; axisymmetric discs have none."""
    row = galaxy_of("Sc", axis_ratio=1.0, arm_contrast=0.9, clumps=0, dust=0.0, arms=2, bar_strength=0.0)
    structure = {}
    for contrast in (0.0, 0.9):
        light = _light(row | {"arm_contrast": contrast})
        structure[contrast] = np.abs(light - light.T).sum() / light.sum()
    assert structure[0.0] < 0.02
    assert structure[0.9] > 0.1


@pytest.mark.parametrize("shift_px", [0.0, 0.5, 0.3])
def test_a_star_is_the_point_spread_function_wherever_it_falls_on_the_pixels(shift_px: float):
    grid = working_grid(RA, DEC, NATIVE_ARCSEC, 64, 64)
    light = draw_light(grid, [], _star(RA, DEC + shift_px * NATIVE_ARCSEC / 3600), 1.3)[1]
    expected = galsim.Kolmogorov(fwhm=1.3, flux=300.0).shift(0, -shift_px * NATIVE_ARCSEC)
    stamp = expected.drawImage(nx=grid.width, ny=grid.height, scale=NATIVE_ARCSEC).array
    assert np.abs(light - stamp).max() < 0.04 * stamp.max()


def _brightest_place(picture: np.ndarray) -> tuple[float, float]:
    """The middle of what is at least half as bright as the brightest pixel: row, column."""
    light = picture.sum(axis=2, dtype=float)
    rows, columns = np.nonzero(light > light.max() / 2)
    return float(rows.mean()), float(columns.mean())


def test_north_is_up_and_east_is_left():
    for east, north in ((12.0, 0.0), (0.0, 12.0)):
        star = _star(RA + east / 3600 / np.cos(np.radians(DEC)), DEC + north / 3600)
        picture = render([], RA, DEC, 0.4, 100, 100, np.random.default_rng(0), star)
        row, column = _brightest_place(picture)
        assert column == pytest.approx(49.5 - east / 0.4, abs=0.5)
        assert row == pytest.approx(49.5 - north / 0.4, abs=0.5)


def test_scale_and_size_are_what_was_asked():
    star = _star(RA, DEC + 10 / 3600)
    for scale, width, height in ((0.1, 300, 240), (0.396, 120, 120), (0.9, 90, 64)):
        picture = render([], RA, DEC, scale, width, height, np.random.default_rng(0), star)
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8
        row, column = _brightest_place(picture)
        assert (height - 1) / 2 - row == pytest.approx(10 / scale, abs=0.3 + 0.1 / scale)
        assert column == pytest.approx((width - 1) / 2, abs=0.3 + 0.1 / scale)


def test_fine_scales_are_interpolated_like_the_services():
    """Neighbouring pixels share their noise where the picture is finer than the survey's pixels."""
    for scale, low, high in ((0.1, 0.8, 1.0), (NATIVE_ARCSEC, -0.1, 0.25)):
        picture = render([], RA, DEC, scale, 300, 300, np.random.default_rng(0)).astype(float)[..., 1]
        shared = np.corrcoef(picture[:, 1:].ravel(), picture[:, :-1].ravel())[0, 1]
        assert low < shared < high


def test_the_same_field_is_the_same_picture_in_any_order(camera: SkyCamera):
    rows = synthetic_sky(2000, seed=0).truth.slice(0, 3).to_pylist()
    fields = [(row["ra_deg"], row["dec_deg"], 0.02 * row["r90_arcsec"], 200, 200) for row in rows]
    forward = [camera.picture(*field) for field in fields]
    other = SkyCamera(2000, seed=0)
    backward = [other.picture(*field) for field in reversed(fields)]
    for first, second in zip(forward, reversed(backward), strict=True):
        assert np.array_equal(first, second)
    elsewhere = SkyCamera(2000, seed=5).picture(*fields[0])
    assert not np.array_equal(forward[0], elsewhere)


def test_a_wider_field_shows_the_same_sky(camera: SkyCamera):
    row = synthetic_sky(2000, seed=0).truth.slice(7, 1).to_pylist()[0]
    place = row["ra_deg"], row["dec_deg"]
    near, wide = camera.picture(*place, 0.4, 200, 200), camera.picture(*place, 0.4, 400, 400)
    assert near is not None
    assert wide is not None
    averaged = [
        np.asarray(Image.fromarray(picture).resize((40, 40), Image.Resampling.BOX), float).ravel()
        for picture in (near, wide[100:300, 100:300])
    ]
    assert np.corrcoef(*averaged)[0, 1] > 0.95


def test_outside_the_footprint_there_is_no_picture_and_across_its_border_half_of_one(camera: SkyCamera):
    assert camera.picture(180.0, 80.0, 0.4, 128, 128) is None
    dec = NORTH_DEC_DEG[0] + 0.002
    picture = camera.picture(RA, dec, 0.4, 128, 128)
    assert picture is not None
    blank = (picture == 0).all(axis=2)
    inside = inside_footprint(np.full(128, RA), dec + (63.5 - np.arange(128)) * 0.4 / 3600)
    assert 0.5 < inside.mean() < 0.9
    assert blank[~inside][2:].all()
    assert blank[inside].mean() < 0.08


def test_real_fields_are_not_blank(camera: SkyCamera):
    """Clients take a picture with more than half exact zeros for an error tile; real ones have under 8 %."""
    rows = synthetic_sky(2000, seed=0).truth.slice(20, 12).to_pylist()
    for row in rows:
        picture = camera.picture(row["ra_deg"], row["dec_deg"], 0.02 * row["r90_arcsec"], 128, 128)
        assert picture is not None
        assert (picture == 0).all(axis=2).mean() < 0.08


def test_thumbnails_do_not_give_the_class_away():
    """And 424-pixel pictures, from which they are made, take well under 0.1 s of one core each."""
    count = 240
    sky = synthetic_sky(count, seed=0)
    table = sky.votes.select(["gz2_class"]).append_column("id", sky.truth["id"])
    labels = np.array([label or "" for label in label_rows(load_scheme("deck-11"), table)["label"].to_pylist()])
    camera, thumbnails, began = SkyCamera(count, seed=0), [], time.process_time()
    for row in sky.truth.to_pylist():
        picture = camera.picture(row["ra_deg"], row["dec_deg"], 0.02 * row["r90_arcsec"], 424, 424)
        assert picture is not None
        thumbnails.append(np.asarray(Image.fromarray(picture).resize((8, 8), Image.Resampling.BOX)).ravel())
    assert (time.process_time() - began) / count < 0.1
    features, kept = np.array(thumbnails), labels != ""
    forest = RandomForestClassifier(100, min_samples_leaf=2, random_state=0)
    found = cross_val_predict(forest, features[kept], labels[kept], cv=3)
    accuracy = np.mean(found == labels[kept])
    commonest = max(np.mean(labels[kept] == name) for name in set(labels[kept]))
    assert commonest < accuracy < 0.55
