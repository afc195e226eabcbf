import time

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial import cKDTree
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_predict

from galaxy.catalogue.positions import galactic_latitude, parse_angles, unit_vectors
from galaxy.images.footprint import inside_footprint
from galaxy.labels.labelling import label_rows
from galaxy.labels.schemes import load_scheme
from galaxy.labels.votes import MEASURES, QUESTIONS, STEMS, derive_classes, question_values
from galaxy.simulation.synthetic_sky import SyntheticSky, synthetic_sky

COUNT = 6000
ARCSEC = 206264.806


@pytest.fixture(scope="module")
def sky() -> SyntheticSky:
    return synthetic_sky(COUNT, seed=0)


@pytest.fixture(scope="module")
def labels(sky: SyntheticSky) -> dict[str, np.ndarray]:
    """Labels by scheme, the empty text where a scheme leaves a row out."""
    classes = pa.table({"id": sky.truth["id"], "gz2_class": sky.votes["gz2_class"]})
    found = {name: label_rows(load_scheme(name), classes)["label"] for name in ("deck-3", "deck-11")}
    return {name: np.array([label or "" for label in column.to_pylist()]) for name, column in found.items()}


def _scalars(sky: SyntheticSky) -> np.ndarray:
    column = {name: np.nan_to_num(sky.metadata[name].to_numpy()) for name in sky.metadata.column_names}
    colours = [column[f"PETROMAG_{band}"] - column["PETROMAG_R"] for band in "UGIZ"]
    radii = [column["PETROR50_R"], column["PETROR90_R"], column["PETROR90_R"] / column["PETROR50_R"]]
    rest = [column[name] for name in ("REDSHIFT", "PETROMAG_R", "EXTINCTION_R", "PSFWIDTH_R")]
    return np.stack([*colours, *radii, *rest], axis=1)


def forest_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    forest = RandomForestClassifier(100, min_samples_leaf=4, random_state=0)
    return float(np.mean(cross_val_predict(forest, features, labels, cv=3) == labels))


def test_columns_are_the_real_tables(sky: SyntheticSky):
    head = ["dr7objid", "ra", "dec", "rastring", "decstring", "sample", "gz2_class"]
    head += ["total_classifications", "total_votes"]
    votes = [f"{stem}_{measure}" for stem in STEMS for measure in MEASURES]
    assert sky.votes.column_names == head + votes
    assert len(votes) == 37 * 6
    needed = {"OBJID", "RA", "DEC", "PETROR50_R", "PETROR90_R", "PETROMAG_R", "EXTINCTION_R", "REDSHIFT"}
    assert needed <= set(sky.metadata.column_names)
    assert sky.votes["dr7objid"].type == sky.metadata["OBJID"].type == pa.int64()


def test_a_longer_sky_begins_with_the_shorter_one(sky: SyntheticSky):
    shorter = synthetic_sky(1500, seed=0)  # ends inside the second block
    for name in ("votes", "metadata", "truth"):
        frame, whole = getattr(shorter, name), getattr(sky, name).slice(0, 1500)
        # `to_pandas` so that NaN equals NaN
        assert frame.to_pandas().equals(whole.to_pandas()), name


def test_another_seed_is_another_sky(sky: SyntheticSky):
    other = synthetic_sky(COUNT, seed=1)
    assert not set(other.truth["id"].to_pylist()) & set(sky.truth["id"].to_pylist())
    tree = cKDTree(unit_vectors(sky.truth["ra_deg"].to_numpy(), sky.truth["dec_deg"].to_numpy()))
    distance, _ = tree.query(unit_vectors(other.truth["ra_deg"].to_numpy(), other.truth["dec_deg"].to_numpy()))
    assert distance.min() * ARCSEC > 2


def test_ids_are_unique_and_packed_as_in_dr7(sky: SyntheticSky):
    ids = sky.metadata["OBJID"].to_numpy()
    assert len(set(ids)) == COUNT
    assert all(text.startswith("5877") and len(text) == 18 for text in sky.truth["id"].to_pylist())
    for name, shift, bits in (("RUN", 32, 16), ("CAMCOL", 29, 3), ("FIELD", 16, 12), ("OBJ", 0, 16)):
        assert np.array_equal(ids >> shift & (1 << bits) - 1, sky.metadata[name].to_numpy()), name


def test_places_are_clustered_but_never_coincide(sky: SyntheticSky):
    ra, dec = sky.truth["ra_deg"].to_numpy(), sky.truth["dec_deg"].to_numpy()
    assert inside_footprint(ra, dec).all()
    assert np.abs(galactic_latitude(ra, dec)).min() > 30
    assert (ra < 30).any(), "no galaxy past the seam at 0/360"
    assert (ra > 330).any(), "no galaxy before the seam at 0/360"
    distance, _ = cKDTree(unit_vectors(ra, dec)).query(unit_vectors(ra, dec), k=2)
    nearest = distance[:, 1] * ARCSEC
    assert nearest.min() > 5
    assert 0.05 < np.mean(nearest < 85) < 0.15


def test_sexagesimal_text_keeps_the_sign_before_zero_degrees(sky: SyntheticSky):
    dec = sky.truth["dec_deg"].to_numpy()
    assert ((dec > -1) & (dec < 0)).any()
    read = parse_angles(sky.votes["decstring"].combine_chunks(), sexagesimal_hours=False)
    assert np.abs(read - dec).max() * 3600 < 0.06
    read = parse_angles(sky.votes["rastring"].combine_chunks(), sexagesimal_hours=True)
    assert np.abs(read - sky.truth["ra_deg"].to_numpy()).max() * 3600 < 0.1


def test_every_vote_belongs_to_a_volunteer_who_was_asked(sky: SyntheticSky):
    counts = {question: question_values(sky.votes, question, "count") for question in QUESTIONS}
    asked = {question: count.sum(axis=1) for question, count in counts.items()}
    volunteers = sky.votes["total_classifications"].to_numpy()
    assert volunteers.min() >= 20
    assert volunteers.max() <= 60
    assert np.array_equal(asked["t01_smooth_or_features"], volunteers)
    smooth, features, _ = counts["t01_smooth_or_features"].T
    edge_on, face_on = counts["t02_edgeon"].T
    spiral, odd = counts["t04_spiral"][:, 0], counts["t06_odd"][:, 0]
    leads = {"t02_edgeon": features, "t07_rounded": smooth, "t06_odd": smooth + features}
    leads |= {"t08_odd_feature": odd, "t09_bulge_shape": edge_on}
    leads |= dict.fromkeys(("t03_bar", "t04_spiral", "t05_bulge_prominence"), face_on)
    leads |= dict.fromkeys(("t10_arms_winding", "t11_arms_number"), spiral)
    for question, before in leads.items():
        assert np.array_equal(asked[question], before), question
    assert np.array_equal(sky.votes["total_votes"].to_numpy(), np.sum(list(asked.values()), axis=0))


def test_fractions_follow_from_counts(sky: SyntheticSky):
    for question in QUESTIONS:
        count, fraction = (question_values(sky.votes, question, measure) for measure in ("count", "fraction"))
        asked = count.sum(axis=1, keepdims=True)
        assert np.abs(fraction * asked - count).max() < 0.0006 * asked.max(), question
        assert not fraction[asked[:, 0] == 0].any(), question


def test_debiased_fractions_undo_the_fading_but_need_not_sum_to_one(sky: SyntheticSky):
    redshift = sky.truth["redshift"].to_numpy()
    face_on = np.array([truth[0] == "S" for truth in sky.truth["truth"].to_pylist()])
    near, far = face_on & (redshift < 0.05), face_on & (redshift > 0.1)
    raw, debiased = (question_values(sky.votes, "t01_smooth_or_features", name) for name in ("fraction", "debiased"))
    raw_drop = np.median(raw[near, 1]) - np.median(raw[far, 1])
    assert raw_drop > 0.1
    assert abs(np.median(debiased[near, 1]) - np.median(debiased[far, 1])) < raw_drop / 2
    assert np.mean(np.abs(debiased.sum(axis=1) - 1) > 0.02) > 0.2
    changed = derive_classes(sky.votes, "fraction").to_numpy(False) != sky.votes["gz2_class"].to_numpy()
    assert 0.05 < changed.mean() < 0.35  # 21.6 % in the real Stripe 82 table


def test_classes_are_balanced_enough_to_learn(labels: dict[str, np.ndarray]):
    labelled = labels["deck-11"] != ""
    assert labelled.mean() >= 0.85
    shares = {name: np.mean(labels["deck-3"][labelled] == name) for name in ("E", "S", "SB")}
    assert max(shares.values()) <= 0.45
    assert min(shares.values()) >= 0.15
    rare = np.mean(np.isin(labels["deck-11"][labelled], ("Sa", "Sd", "SBa", "SBd")))
    assert rare < 0.25


def test_votes_agree_with_the_truth_in_three_quarters_to_nine_tenths(sky: SyntheticSky, labels: dict[str, np.ndarray]):
    labelled = labels["deck-11"] != ""
    agree = labels["deck-11"] == np.array(sky.truth["truth"].to_pylist())
    assert 0.75 <= agree[labelled].mean() <= 0.90
    redshift = sky.truth["redshift"].to_numpy()
    seeing_discs = sky.truth["r90_arcsec"].to_numpy() / sky.truth["psf_fwhm_arcsec"].to_numpy()
    assert agree[labelled & (redshift < 0.05)].mean() > agree[labelled & (redshift > 0.1)].mean() + 0.03
    assert agree[labelled & (seeing_discs > 9)].mean() > agree[labelled & (seeing_discs < 5)].mean() + 0.01


def test_catalogue_scalars_do_not_give_the_class_away(sky: SyntheticSky, labels: dict[str, np.ndarray]):
    rows = np.flatnonzero(labels["deck-11"] != "")[:1500]
    scalars = _scalars(sky)[rows]
    assert forest_accuracy(scalars, labels["deck-3"][rows] == "E") < 0.75
    assert forest_accuracy(scalars, labels["deck-11"][rows]) < 0.40


def test_twenty_thousand_rows_take_under_three_seconds():
    began = time.process_time()
    synthetic_sky(20_000, seed=3)
    assert time.process_time() - began < 3
