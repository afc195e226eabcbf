"""A night of candidates: clean frames are scored, copies with injections go to the training set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from realbogus.records import BOGUS, REAL
from realbogus.simulation.survey import FIRST_MJD
from tasks.candidates.building.build_request import CandidateBuildRequest
from tasks.candidates.building.plan import COMMON
from tasks.candidates.building.staged_rows import FAULTY_VISIT
from tasks.candidates.initial_weights import read_normalisation
from tasks.decisions.labelling_queue import Decided, QueueSettings, build_queue, write_queue
from tasks.learning.scoring import image_blocks
from tasks.learning.split_parts import UNLABELLED
from tasks.night.models import REGISTERED, NightModel, describe_model, open_model
from tasks.night.pipeline import score_night
from tasks.night.request import NightRequest
from tasks.night.sources import BLOCK_ROWS, DatasetNight
from tasks.nightly.calendar import mjd_of
from tasks.nightly.deliveries import NightDelivery
from tasks.nightly.efficiency import night_efficiency
from tasks.nightly.label_versions import earlier_ids
from tasks.nightly.night_features import CANDIDATE_COLUMNS, candidate_features
from tasks.nightly.night_record import NightRecord, open_record
from tasks.nightly.night_work import NightlyError, NightWork, ScoredRows
from tasks.nightly.quiet_nights import chart_efficiency, find_drift
from tasks.nightly.redelivery import replaced_ids
from tasks.store.columns import align_rows, positions_of, to_bool
from tasks.store.dataset import Dataset
from tasks.store.versions import stored_rows
from tasks.tracking.model_registry import resolve_model

FIRST_NIGHTS_VISITS = 10
"""Visits of the simulated survey that begins a training set."""
HOLDOUT_VISITS, HOLDOUT_TRANSIENTS = 12, 8.0
"""Visits, and true transients a chip-visit, of the simulated survey that is held out."""
KEPT = (*COMMON, "label_column", "group_column", "galaxy_catalog", "known_objects", "known_without_epoch", "columns")
"""Parameters of the training set's last build that the builds of its nights keep."""
MOST_LOST_VISITS = 0.5
"""A night is one of clouds if a larger share of its chip-visits could not be worked on."""
TPR = "tpr90"


@dataclass(frozen=True)
class CandidateNight(NightWork):
    """A night of candidates."""

    @property
    def registered_name(self) -> str:
        """Name of the models in the registry."""
        return REGISTERED

    def first_build(self) -> dict[str, Any]:
        """Return a simulated survey; real frames need one that a person has looked at."""
        request = self.request
        if request.source != "simulated":
            raise NightlyError(
                f"dataset={request.training_set} does not exist: begin it with `starloom run build-realbogus-dataset "
                f"-p dataset={request.training_set} -p source={request.source} -p path=...`; its first model follows"
            )
        return {**self._survey, "dataset": request.training_set, "visits": FIRST_NIGHTS_VISITS}

    def holdout_build(self) -> dict[str, Any] | None:
        """Return a simulated survey with many true transients."""
        if self.request.source != "simulated":
            return None
        more = {"scene_transients": HOLDOUT_TRANSIENTS, "injections_per_visit": 0, "night": 1}
        return {**self._survey, **more, "dataset": f"{self.request.training_set}-holdout", "visits": HOLDOUT_VISITS}

    def night_build(self, delivery: NightDelivery) -> dict[str, Any]:
        """Return the build without injections."""
        more = {"dataset": self._own_set, "injections_per_visit": 0}
        return self.training_build(delivery) | more

    def training_build(self, delivery: NightDelivery) -> dict[str, Any]:
        """Return the build with injections into copies of the frames, with the settings of the training set."""
        parameters = self.training_set().manifest["parameters"]
        kept = {name: parameters[name] for name in KEPT if parameters.get(name) is not None}
        build = {**kept, "dataset": self.request.training_set, "seed": self.request.seed}
        if delivery.path is not None:
            return build | {"path": str(delivery.path)}
        request = self.request
        night = mjd_of(date.fromisoformat(self.night)) - int(FIRST_MJD)
        return build | {
            "night": night,
            "chips": request.chips,
            "visits": request.visits,
            "conditions": None if request.conditions is None else request.conditions.given,
        }

    def clouded(self, build: dict[str, Any]) -> str | None:
        """Return how many chip-visits were lost, where too many were."""
        dataset = Dataset.open(self.workspace, f"{build['dataset']}@{build['version']}")
        ledger = dataset.samples(["batch", "kind", "reason"])
        lost = ledger.filter(pc.equal(ledger["kind"], FAULTY_VISIT))
        visits = max(pc.count_distinct(ledger["batch"]).as_py(), 1)
        if lost.num_rows <= MOST_LOST_VISITS * visits:
            return None
        reasons = Counter(lost["reason"].to_pylist())
        return f"{lost.num_rows} of {visits} chip-visits could not be worked on ({count_reasons(reasons)})"

    def score(self) -> dict[str, Any]:
        """Score the night's own dataset, in place of the scores of an earlier delivery."""
        name = self._own_set
        summary = score_night(self.workspace, NightRequest(path=name, night=self._scores))
        return {
            **{key: summary[key] for key in ("scored", "selected", "not_scored", "threshold", "threshold_version")},
            "scores": summary["path"],
            "operations": summary["operations"],
            "truth": self._truth_rates(Dataset.open(self.workspace, name)),
            "night_report": summary["report"],
        }

    def score_rows(self, ids: Sequence[str]) -> ScoredRows:
        """Return the champion's logits on the night's stored rows of the training set."""
        dataset, model = self.training_set(), self._champion
        samples = align_rows(dataset.samples(["id", "row", "group"]), list(ids)).sort_by("row")
        rows = samples["row"].to_numpy()
        blocks = [model.logits(block) for block in image_blocks(dataset.pixels, rows, BLOCK_ROWS)]
        logits = np.concatenate(blocks) if blocks else np.zeros(0)
        labels = align_rows(dataset.labels(self.scheme), samples["id"])["label"]
        classes = dataset.classes(self.scheme)
        known = pc.index_in(labels, value_set=pa.array(classes)).fill_null(UNLABELLED)
        point = model.card["operating_points"][TPR]
        return ScoredRows(
            samples["id"].to_pylist(),
            samples["group"].to_pylist(),
            known.to_numpy().astype(np.int64),
            logits,
            (logits >= point["threshold"]).astype(np.int64),
            np.array([point["fpr"], 1 - point["tpr"]]),
        )

    def night_figures(
        self, record: NightRecord, rows: ScoredRows | None, quiet: Sequence[NightRecord]
    ) -> dict[str, Any]:
        """Return the efficiency of injections into copies of the frames, and the drift of the night's candidates."""
        card, folder = self._described.card, record.folder
        threshold = card["operating_points"][TPR]["threshold"]
        ledger = Dataset.open(self.workspace, self._own_set).samples(list(CANDIDATE_COLUMNS))
        columns = ["id", "logit", "probability"]
        scores = pq.read_table(self.workspace.scores / f"{self._scores}.parquet", columns=columns)
        features = candidate_features(self.night, ledger, scores, threshold, card["training_real_share"])
        drift = find_drift(folder, features, quiet)
        added = self.added_rows(record.steps["version before"], record.steps["append"]["version"])
        if rows is None or not pc.any(pc.is_valid(added["found"])).as_py():
            return {"efficiency": None, "drift": drift}
        logits = pa.table({"id": rows.ids, "logit": rows.outputs})
        efficiency = night_efficiency(self.night, added, logits, threshold)
        return {"efficiency": chart_efficiency(efficiency, quiet), "drift": drift}

    def champion_settings(self) -> dict[str, Any]:
        """Return network, size, profile and normalisation of the champion."""
        card, folder = self._described.card, resolve_model(self.workspace, "champion", REGISTERED).folder
        settings = {name: card[name] for name in ("network", "size", "profile")}
        return {**settings, "normalisation": read_normalisation(folder)}

    def write_queue(self, record: NightRecord, challenger: str) -> None:
        """Write the labelling queue of the night's own candidates, as they are without injections."""
        champion = self._champion
        night = DatasetNight(Dataset.open(self.workspace, self._own_set), champion.stamp_px)
        rows, ledger = night.ledger["row"].to_numpy(), night.ledger
        models = (champion, open_model(self.workspace, challenger, REGISTERED, "auto"))
        logits = [
            [model.logits(block) for model in models] for block in image_blocks(night.dataset.pixels, rows, BLOCK_ROWS)
        ]
        decided: list[Decided] = []
        for model, parts in zip(models, zip(*logits, strict=True), strict=True):
            values = np.concatenate(parts)
            is_real = values >= model.card["operating_points"][TPR]["threshold"]
            decided.append(Decided(values, np.where(is_real, REAL, BOGUS)))
        ids, groups = ledger["id"].to_pylist(), ledger["group"].to_pylist()
        queue = build_queue(ids, groups, decided[0], decided[1], QueueSettings(), self.night)
        write_queue(self.workspace, self.registered_name, self.night, queue)

    def newest(self, record: NightRecord) -> tuple[str, list[str]]:
        """Return the night's own dataset and its stored candidates."""
        dataset = Dataset.open(self.workspace, self._own_set)
        return f"{dataset.name}@{dataset.version}", stored_rows(dataset.samples(["id", "row", "status"]))[
            "id"
        ].to_pylist()

    def replaced_ids(self, record: NightRecord, delivery: NightDelivery) -> list[str]:
        """Return the ids that earlier deliveries added, and that this one has no longer, or with another label."""
        earlier = earlier_ids(record)
        if not earlier:
            return []
        training_set = self.training_set()
        request = CandidateBuildRequest(**training_set.manifest["parameters"] | self.training_build(delivery))
        return replaced_ids(training_set, self.scheme, request, earlier)

    @property
    def _scores(self) -> str:
        """Name of the night's scores."""
        return self.request.night_set(self.night)

    @property
    def _own_set(self) -> str:
        """Name of the dataset of the night's own candidates; each delivery has its own, since a dataset only grows."""
        revision = open_record(self.workspace, self.request.training_set, self.night).revision
        return self._scores if revision == 1 else f"{self._scores}-r{revision}"

    @property
    def _survey(self) -> dict[str, Any]:
        request = self.request
        names = ("chips", "injections_per_visit", "scene_transients", "seed")
        return {"source": "simulated", **{name: getattr(request, name) for name in names}}

    @property
    def _champion(self) -> NightModel:
        return open_model(self.workspace, "champion", REGISTERED, "auto")

    @property
    def _described(self) -> NightModel:
        """The champion by its card; it cannot be run."""
        return describe_model(self.workspace, "champion", REGISTERED)

    def _truth_rates(self, night: Dataset) -> dict[str, int] | None:
        """Return counts against the hidden truth: reals and bogus, and how many of each were selected."""
        truth = night.truth()
        if truth is None:
            return None
        scores = pq.read_table(self.workspace.scores / f"{self._scores}.parquet", columns=["id", "decision"])
        truth = truth.filter(pc.is_valid(truth["truth"]))
        found = positions_of(truth["id"], scores["id"])
        truth, decisions = truth.filter(pa.array(found >= 0)), scores["decision"].take(pa.array(found[found >= 0]))
        real, selected = to_bool(pc.equal(truth["truth"], REAL)), to_bool(pc.equal(decisions, REAL))
        return {
            "real": int(real.sum()),
            "real_selected": int((real & selected).sum()),
            "bogus": int((~real).sum()),
            "bogus_selected": int((~real & selected).sum()),
        }


def count_reasons(reasons: Counter[str]) -> str:
    """Return counts by reason in words."""
    return ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
