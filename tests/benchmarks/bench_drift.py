"""Drift on a small simulated survey: how often planted events are found, and how often quiet nights alarm.

Each survey (seed) has quiet nights and nights with one event. A quiet night is checked against the other quiet ones, an
event night against all of them. The champion is a simple network fitted once to another survey.
"""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import expit

from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.efficiency import rate_of
from realbogus.injection.inject import InjectionSettings
from realbogus.records import REAL
from realbogus.simulation.night_conditions import NightConditions
from realbogus.simulation.survey import SurveySettings
from tasks.candidates.building.collect import SimulatedVisits, VisitKey
from tasks.learning.drift.check import DriftCheck, check_drift
from tasks.learning.drift.night_features import NightFeatures
from tasks.learning.operating_points import threshold_for_tpr
from tasks.nightly.night_features import candidate_features
from tasks.store.schema import STORED

SEEDS = (4, 5, 6)
"""Other surveys than those on which the features were chosen."""
QUIET_NIGHTS, EVENT_NIGHTS = 12, 2
CHIPS, VISITS = (0, 20, 42), 2
HOT_CHIP = 20
SMALL: dict[str, Any] = {"height_px": 320, "width_px": 400, "stars": 6000.0}
"""A chip of a seventeenth of the area; as many stars on it as a PSF and a kernel want."""
TRANSIENTS = 1.0
"""Scene transients of a chip; thirteen times as many as by default for the area."""
THRESHOLD_SIGMA = 4.0
"""Lower than usual, so that a small chip has several bogus a visit."""
CHAMPION_SEED, CHAMPION_VISITS, CHAMPION_INJECTIONS = 77, 8, 40
EPOCHS, BATCH = 12, 32
EVENTS: dict[str, dict[str, Any]] = {
    "hot_chip": {"hot_chip": HOT_CHIP},
    "seeing_1.3": {"seeing_factor": 1.3},
    "seeing_1.6": {"seeing_factor": 1.6},
    "seeing_2.0": {"seeing_factor": 2.0},
    "clouds_1.5_mag": {"extinction_mag": 1.5},
    "reals_tripled": {},
}


@dataclass(frozen=True)
class NightJob:
    """A night to simulate; `transients` is the mean number of the scene's own on a chip."""

    seed: int
    night: int
    special: dict[str, Any] = field(default_factory=dict)
    transients: float = TRANSIENTS
    injections: int = 0
    visits: int = VISITS


@dataclass(frozen=True)
class Champion:
    """A fitted network with its threshold at TPR 0.9 and the share of reals that it was fitted to."""

    weights: list[NDArray]
    threshold: float
    share: float


def run() -> dict[str, Any]:
    """Return the share of quiet nights that alarm and of event nights that are found, with Jeffreys' intervals."""
    training = NightJob(CHAMPION_SEED, 500, injections=CHAMPION_INJECTIONS, visits=CHAMPION_VISITS)
    jobs = {(seed, name): job for seed in SEEDS for name, job in list_jobs(seed)}
    with ProcessPoolExecutor(2) as pool:
        fitted_to, *nights = pool.map(simulate_night, [training, *jobs.values()])
    champion = fit_champion(*fitted_to)
    scored = score_nights(champion, dict(zip(jobs, nights, strict=True)))
    return summarise(check_nights(scored))


def list_jobs(seed: int) -> list[tuple[str, NightJob]]:
    """Return the nights of one survey by name: quiet ones, and those with an event."""
    jobs = [(f"quiet {night}", NightJob(seed, night)) for night in range(QUIET_NIGHTS)]
    for number, (name, special) in enumerate(EVENTS.items()):
        transients = 3 * TRANSIENTS if name == "reals_tripled" else TRANSIENTS
        for repeat in range(EVENT_NIGHTS):
            night = 100 + EVENT_NIGHTS * number + repeat
            jobs.append((f"{name} {repeat}", NightJob(seed, night, special, transients)))
    return jobs


def simulate_night(job: NightJob) -> tuple[pa.Table, NDArray[np.float32]]:
    """Return the staged rows of a night, and the stamps of those that are stored, (n, y, x, 3)."""
    survey = SurveySettings(seed=job.seed, transients_per_visit=job.transients, **SMALL)
    work = VisitSettings(injection=InjectionSettings(per_visit=job.injections), threshold_sigma=THRESHOLD_SIGMA)
    visits = SimulatedVisits(survey, work, special=NightConditions(**job.special))
    keys = [
        VisitKey(job.seed, job.night, chip, visit, 1000 * job.night + visit)
        for visit in range(job.visits)
        for chip in CHIPS
    ]
    batches = [visits.collect(key) for key in keys]
    return pa.concat_tables([batch.table for batch in batches]), np.concatenate([batch.pixels for batch in batches])


def fit_champion(rows: pa.Table, stamps: NDArray[np.float32]) -> Champion:
    """Fit the simple network to a night with injections, and set its threshold on the same."""
    import keras

    from realbogus.models.networks import build_network, prepare_views
    from tasks.candidates.presets import load_preset

    keras.utils.set_random_seed(0)
    preset = load_preset("simple", "small", "fixed")
    network = build_network(preset, stamps.shape[1], precision="float32")
    label = np.array([name == REAL for name in _stored(rows)["label"].to_pylist()])
    network.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    turned = np.concatenate([np.rot90(stamps, turns, (1, 2)) for turns in range(4)])
    views = np.asarray(prepare_views(turned, preset))
    network.fit(views, np.tile(label.astype(int), 4), batch_size=BATCH, epochs=EPOCHS, verbose=0)
    logit = predict(network, stamps)
    return Champion(network.get_weights(), threshold_for_tpr(logit[label], 0.9), float(label.mean()))


def predict(network: Any, stamps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits (n,) of being real of stamps (n, y, x, 3)."""
    from realbogus.models.networks import prepare_views
    from tasks.candidates.presets import load_preset

    if len(stamps) == 0:
        return np.empty(0)
    preset = load_preset("simple", "small", "fixed")
    outputs = network.predict(np.asarray(prepare_views(stamps, preset)), batch_size=256, verbose=0)
    return np.asarray(outputs[:, 1] - outputs[:, 0], float)


def score_nights(
    champion: Champion, nights: Mapping[tuple[int, str], tuple[pa.Table, NDArray[np.float32]]]
) -> dict[tuple[int, str], NightFeatures]:
    """Return the features of nights by seed and name."""
    from realbogus.models.networks import build_network
    from tasks.candidates.presets import load_preset

    features = {}
    network = None
    for (seed, name), (rows, stamps) in nights.items():
        if network is None:
            network = build_network(load_preset("simple", "small", "fixed"), stamps.shape[1], precision="float32")
            network.set_weights(champion.weights)
        logit = predict(network, stamps)
        scores = pa.table({"id": _stored(rows)["id"], "logit": logit, "probability": expit(logit)})
        features[seed, name] = candidate_features(name, rows, scores, champion.threshold, champion.share)
    return features


def check_nights(nights: Mapping[tuple[int, str], NightFeatures]) -> dict[tuple[int, str], DriftCheck]:
    """Check every night against the quiet ones of its survey, itself left out."""
    quiet = {key: night for key, night in nights.items() if _event(key[1]) == "quiet"}
    return {
        key: check_drift(night, [other for name, other in quiet.items() if name[0] == key[0] and name != key])
        for key, night in nights.items()
    }


def summarise(checks: Mapping[tuple[int, str], DriftCheck]) -> dict[str, Any]:
    """Return the counts of nights by event, those found, their share with its interval, and what was found."""
    figures: dict[str, Any] = {}
    for event in ("quiet", *EVENTS):
        of_event = [check for (_, name), check in checks.items() if _event(name) == event]
        found = sum(check.verdict == "drifted" for check in of_event)
        rate = rate_of(found, len(of_event))
        figures |= {f"{event}_nights": len(of_event), f"{event}_found": found}
        figures |= {f"{event}_share": rate.value, f"{event}_low": rate.low, f"{event}_high": rate.high}
        strata = {finding.stratum for check in of_event for finding in check.drifted}
        features = {finding.feature for check in of_event for finding in check.drifted}
        figures[f"{event}_in"] = "; ".join([", ".join(sorted(strata)), ", ".join(sorted(features))])
    return figures


def _event(name: str) -> str:
    return name.rpartition(" ")[0]


def _stored(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.equal(rows["status"], STORED))
