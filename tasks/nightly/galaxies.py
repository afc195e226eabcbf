"""A night of galaxies: the catalogue has grown, and its new galaxies go to the training set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.decisions.labelling_queue import Decided, QueueSettings, build_queue, write_queue
from tasks.galaxies.building.build_request import SIMULATED_LIMIT
from tasks.learning.models import saved_models
from tasks.learning.scoring import IMAGE_BATCH, score
from tasks.learning.split_parts import UNLABELLED, part_rows
from tasks.nightly.deliveries import NightDelivery
from tasks.nightly.label_versions import added_ids
from tasks.nightly.night_features import GALAXY_COLUMNS, galaxy_features
from tasks.nightly.night_record import NightRecord
from tasks.nightly.night_work import NightWork, ScoredRows
from tasks.nightly.quiet_nights import find_drift
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.store.columns import align_rows, positions_of
from tasks.store.files import write_table
from tasks.store.schema import GALAXY
from tasks.tracking.model_registry import CHAMPION, ModelRef, resolve_model
from tasks.training.registered_models import registered_name

KEPT = ("size_px", "request_px", "crop_fraction", "field", "scale_arcsec_per_px", "release", "metadata", "mapping")
"""Parameters of the training set's last build that the builds of its nights keep."""


@dataclass(frozen=True)
class GalaxyNight(NightWork):
    """A night of galaxies."""

    @property
    def registered_name(self) -> str:
        """Name of the models in the registry."""
        return registered_name(GALAXY, self.scheme if self.has_training_set() else self.request.scheme)

    def first_build(self) -> dict[str, Any]:
        """Return the build of the catalogue as it is."""
        return self._build(SIMULATED_LIMIT)

    def holdout_build(self) -> dict[str, Any] | None:
        """Return another simulated sky; of a real catalogue the test part is held out."""
        if self.request.source != "simulated":
            return None
        more = {"dataset": f"{self.request.training_set}-holdout", "seed": self.request.seed + 1}
        return self._build(SIMULATED_LIMIT) | more

    def night_build(self, delivery: NightDelivery) -> None:
        """New galaxies are scored where the training set has them."""
        return

    def training_build(self, delivery: NightDelivery) -> dict[str, Any]:
        """Return the build of the catalogue, with the settings of the training set; a simulated one grows here."""
        parameters = self.training_set().manifest["parameters"]
        kept = {name: parameters[name] for name in KEPT if parameters.get(name) is not None}
        limit = parameters["limit"] or SIMULATED_LIMIT
        return self._build(limit + self.request.objects) | kept

    def clouded(self, build: dict[str, Any]) -> None:
        """Galaxies come from a catalogue, whatever the night was."""
        return

    def score_rows(self, ids: Sequence[str]) -> ScoredRows:
        """Return the champion's probabilities of the new galaxies, which are written to the scores too."""
        dataset = self.training_set()
        samples = align_rows(dataset.samples(["id", "row", "group"]), list(ids)).sort_by("row")
        names = samples["id"].to_pylist()
        classes = dataset.classes(self.scheme)
        ref, model = self._champion
        probabilities = np.zeros((0, len(classes)))
        if names:
            probabilities = score(model, dataset.pixels, samples["row"].to_numpy(), IMAGE_BATCH).astype(np.float64)
        decided = probabilities.argmax(axis=1)
        labels = align_rows(dataset.labels(self.scheme), samples["id"])["label"]
        known = np.where(positions_of(labels, classes) < 0, UNLABELLED, positions_of(labels, classes))
        self._write_scores(names, probabilities, classes, ref)
        return ScoredRows(
            names, samples["group"].to_pylist(), known, probabilities, decided, self._error_rates(model, classes)
        )

    def night_figures(
        self, record: NightRecord, rows: ScoredRows | None, quiet: Sequence[NightRecord]
    ) -> dict[str, Any]:
        """Return the drift of the new galaxies, which have no injections."""
        if rows is None:
            return {"efficiency": None, "drift": None}
        ledger = align_rows(self.training_set().samples(list(GALAXY_COLUMNS)), rows.ids)
        classes = np.array(self.training_set().classes(self.scheme))[rows.decided]
        predictions = pa.table({"id": rows.ids, "class": classes, "confidence": rows.outputs.max(axis=1)})
        features = galaxy_features(self.night, ledger, predictions)
        return {"efficiency": None, "drift": find_drift(record.folder, features, quiet)}

    def champion_settings(self) -> dict[str, Any]:
        """Return network and preset of the champion."""
        card = saved_models.checked_card(self._ref.folder)
        return {"network": card["network"], "preset": card["preset"]}

    def write_queue(self, record: NightRecord, challenger: str) -> None:
        """Write the labelling queue of the night's new galaxies."""
        dataset, ids = self.training_set(), added_ids(record, record.revision)
        if not ids:
            return
        classes = np.array(dataset.classes(self.scheme))
        samples = align_rows(dataset.samples(["id", "row", "group"]), ids).sort_by("row")
        rival = saved_models.load_model(resolve_model(self.workspace, challenger, self.registered_name).folder)[0]
        decided: list[Decided] = []
        for model in (self._champion[1], rival):
            probabilities = score(model, dataset.pixels, samples["row"].to_numpy(), IMAGE_BATCH)
            decided.append(Decided(probabilities.max(axis=1), classes[probabilities.argmax(axis=1)]))
        names, groups = samples["id"].to_pylist(), samples["group"].to_pylist()
        queue = build_queue(names, groups, decided[0], decided[1], QueueSettings(), self.night)
        write_queue(self.workspace, self.registered_name, self.night, queue)

    def newest(self, record: NightRecord) -> tuple[str, list[str]] | None:
        """Return the training set and the night's new galaxies."""
        ids, dataset = added_ids(record, record.revision), self.training_set()
        return (f"{dataset.name}@{dataset.version}", ids) if ids else None

    def _build(self, limit: int) -> dict[str, Any]:
        request = self.request
        build: dict[str, Any] = {"dataset": request.training_set, "source": request.source, "scheme": request.scheme}
        build |= {"seed": request.seed}
        if request.source == "simulated":
            return build | {"limit": limit}
        return build | {"catalog": request.path, "images": request.images}

    def _fit_parameters(self, labels: str | None) -> dict[str, Any]:
        """Return the parameters that all trainings of a night have: the scheme among them."""
        return {**super()._fit_parameters(labels), "scheme": self.scheme}

    @property
    def _ref(self) -> ModelRef:
        return resolve_model(self.workspace, CHAMPION, self.registered_name)

    @property
    def _champion(self) -> tuple[ModelRef, Any]:
        quiet_tensorflow()
        ref = self._ref
        return ref, saved_models.load_model(ref.folder)[0]

    def _error_rates(self, model: Any, classes: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each class that the champion gets wrong on the validation part; of all if it has none."""
        dataset = self.training_set()
        part = part_rows(dataset, self.scheme, "validation")
        wrong = score(model, dataset.pixels, part.rows, IMAGE_BATCH).argmax(axis=1) != part.labels
        rates = [
            wrong[part.labels == position].mean() if (part.labels == position).any() else wrong.mean()
            for position in range(len(classes))
        ]
        return np.array(rates, np.float64)

    def _write_scores(self, ids: list[str], probabilities: NDArray, classes: Sequence[str], ref: ModelRef) -> None:
        sha256 = saved_models.checked_card(ref.folder)["sha256"]
        best = probabilities.argmax(axis=1) if ids else np.zeros(0, int)
        columns: dict[str, Any] = {
            "id": pa.array(ids, pa.string()),
            "class": pa.array([classes[position] for position in best], pa.string()),
            "confidence": probabilities.max(axis=1) if ids else np.zeros(0),
            **{f"probability_{name}": probabilities[:, position] for position, name in enumerate(classes)},
            "model": pa.array([ref.uri] * len(ids), pa.string()),
            "model_sha256": pa.array([sha256] * len(ids), pa.string()),
        }
        self.workspace.scores.mkdir(parents=True, exist_ok=True)
        write_table(self.workspace.scores / f"{self.request.night_set(self.night)}.parquet", pa.table(columns))
