"""Studies of schemes without a fit: which galaxies are tested, sums, paired numbers, the page; results are written."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from galaxy.labels.schemes import load_scheme
from galaxy.models import baselines
from tasks.galaxies.initial_weights import InitialWeights
from tasks.learning import measures
from tasks.learning.split_parts import part_rows
from tasks.learning.training_overlap import COLUMNS, TRAINING_SAMPLES_FILE, read_training_samples, seen_before
from tasks.runtime.workspace import Workspace
from tasks.store.columns import select_ids
from tasks.store.files import write_table
from tasks.studies.galaxies import scheme_table
from tasks.studies.galaxies.arms import parse_arms
from tasks.studies.galaxies.published_results import PUBLISHED
from tasks.studies.galaxies.scheme_report import accuracy_table, study_page, study_tables
from tasks.studies.galaxies.scheme_study import (
    DECK_SCHEMES,
    TWO_CLASSES,
    SchemeStudy,
    SchemeStudyRequest,
    open_scheme_study,
)
from tasks.studies.galaxies.scheme_table import Answers, compare_schemes
from tasks.studies.galaxies.scheme_training import probabilities_path
from tasks.training.evaluation_record import EvaluationError
from tests.small_schemes import TEXTS, TRUTH, ReadsColours, publish_schemes

ALL = ("gz2-2class", *DECK_SCHEMES)
ARMS = ("cnn:deck", "cnn")


@pytest.fixture(autouse=True)
def _small_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "FOREST_TREES", 5)
    monkeypatch.setattr(scheme_table, "REPEATS", 40)


@pytest.fixture(scope="module")
def toy(tracked_workspace: Workspace) -> Workspace:
    publish_schemes(tracked_workspace, "toy", schemes=ALL, wrong=0.2)
    publish_schemes(tracked_workspace, "other", schemes=ALL, seed=3, count=110)
    return tracked_workspace


def study_of(workspace: Workspace, **changes: Any) -> SchemeStudy:
    request = {"dataset": "toy", "arms": parse_arms(ARMS), "seeds": [0, 1]} | changes
    return open_scheme_study(workspace, SchemeStudyRequest(**request))


def answer_rows(study: SchemeStudy, sure: Callable[[str, int], float]) -> list[dict[str, Any]]:
    """Write probabilities as trainings would: the reading of the colours, mixed with noise where an arm is unsure."""
    results = []
    for row in study.rows:
        rules, rng = load_scheme(row.scheme), np.random.default_rng(row.seed)
        images = np.stack([study.test_dataset.pixels[int(at)] for at in study.scored.rows])
        eleven = ReadsColours().predict_on_batch(images)
        whole = np.array([[rules.assign(text).label == name for name in rules.classes] for text in TEXTS], float)
        read = eleven @ whole + 1e-9
        is_sure = rng.random(len(read)) < sure(row.arm.name, row.seed)
        noise = rng.dirichlet(np.ones(len(rules.classes)), len(read))
        mixed = np.where(is_sure[:, None], read, noise)
        columns = {f"probability_{name}": mixed[:, at] for at, name in enumerate(rules.classes)}
        study.folder.mkdir(parents=True, exist_ok=True)
        write_table(probabilities_path(study, row.settings), pa.table({"id": study.scored.ids, **columns}))
        curve = [0.3, 0.5 + 0.1 * row.seed, 0.6]
        results.append(
            {
                **row.settings,
                "temperature": 1.5,
                "epochs": 3,
                "best_epoch": 3,
                "epoch_to_95pct": 3,
                "generalisation_gap": -0.05,
                "history": {"train_accuracy": curve, "validation_accuracy": curve[::-1]},
            }
        )
    return results


@pytest.fixture(scope="module")
def compared(toy: Workspace) -> tuple[SchemeStudy, list[dict[str, Any]], dict[str, Any]]:
    study = study_of(toy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "FOREST_TREES", 5)
        patch.setattr(scheme_table, "REPEATS", 40)
        results = answer_rows(study, lambda arm, seed: 0.6 if arm == "cnn deck" else 0.9)
        return study, results, compare_schemes(study, results)


def test_the_tested_galaxies_are_the_test_part_or_all_unseen_ones_of_another_dataset(toy: Workspace) -> None:
    own, other = study_of(toy), study_of(toy, test_dataset="other")
    for scheme in ALL:
        assert own.tests[scheme][0].ids == part_rows(own.dataset, scheme, "test").ids
    assert [own.tests[scheme][1] for scheme in ALL] == [0] * 5
    part, overlap = other.tests["deck-3"]
    seen = seen_before(other.test_dataset.samples(), read_training_samples(own.dataset))
    assert (len(part), overlap) == (110 - seen.sum(), seen.sum())
    assert own.folder != other.folder


def test_every_model_scores_what_any_scheme_tests(toy: Workspace) -> None:
    study = study_of(toy, schemes=["deck-7", "deck-3"])
    assert study.schemes == ["deck-3", "deck-7"]
    assert set(study.scored.ids) == {name for scheme in ALL for name in study.tests[scheme][0].ids}
    assert study.folder == study_of(toy).folder
    assert (np.diff(study.scored.rows) > 0).all()
    publish_schemes(toy, "nested", schemes=("deck-11", "deck-7"), count=110)
    seven = study_of(toy, dataset="nested", schemes=["deck-7"])
    assert len(seven.scored) > len(seven.tests["deck-7"][0])


def test_galaxies_that_loaded_weights_have_seen_are_not_tested(toy: Workspace, tmp_path: Path) -> None:
    study = study_of(toy, seeds=[0])
    some = study.tests["deck-3"][0].ids[:7]
    write_table(tmp_path / TRAINING_SAMPLES_FILE, select_ids(read_samples(study), pa.array(some)))
    weights = InitialWeights("models:/earlier/1", tmp_path, "1" * 64)
    later = study_of(toy, seeds=[0])
    later.__dict__["rows"] = [
        replace(row, training=replace(row.training, initial=weights)) if row.arm.preset == "tuned" else row
        for row in study.rows
    ]
    assert later.tests["deck-3"][1] == 7
    assert not set(later.tests["deck-3"][0].ids) & set(some)
    assert later.folder != study.folder


def read_samples(study: SchemeStudy) -> pa.Table:
    return study.dataset.samples(list(COLUMNS))


def test_schemes_are_those_of_the_deck_and_the_two_classes_that_label_the_dataset(toy: Workspace) -> None:
    assert study_of(toy).schemes == list(ALL)
    publish_schemes(toy, "four", schemes=("deck-9", "deck-3", "barchi-9"), count=110)
    assert study_of(toy, dataset="four").schemes == ["deck-3", "deck-9"]


def test_a_seed_is_not_counted_twice(toy: Workspace) -> None:
    with pytest.raises(ValidationError, match=r"seeds=\[1, 1\] names one twice"):
        study_of(toy, seeds=[1, 1])


def test_a_missing_scheme_names_the_flow_that_adds_it(toy: Workspace) -> None:
    publish_schemes(toy, "two", schemes=("barchi-9",), count=110)
    with pytest.raises(
        EvaluationError, match=r"deck-3, deck-7, deck-9.*backfill-class-scheme -p dataset=two -p scheme=deck-3"
    ):
        study_of(toy, dataset="two")
    with pytest.raises(EvaluationError, match=r"'two' has no labels of scheme deck-9.*backfill-class-scheme"):
        study_of(toy, test_dataset="two", schemes=["deck-9"])


def test_other_rules_other_shapes_and_heads_alone_are_refused(toy: Workspace) -> None:
    publish_schemes(toy, "wide", schemes=ALL, count=110, side=24)
    with pytest.raises(EvaluationError, match=r"'wide' have shape \[24, 24, 3\], those of 'toy' \[16, 16, 3\]"):
        study_of(toy, test_dataset="wide")
    with pytest.raises(EvaluationError, match="'cnn tuned random head only' has fitting=head"):
        study_of(toy, arms=parse_arms([{"fitting": "head"}]))


def test_only_the_finest_scheme_of_one_catalogue_is_summed(toy: Workspace) -> None:
    assert set(study_of(toy).sums) == {"gz2-2class", "deck-3", "deck-7", "deck-9"}
    assert set(study_of(toy, schemes=["deck-7", "deck-3"]).sums) == {"deck-3"}
    assert study_of(toy, hierarchical=False).sums == {}


def test_a_row_is_known_by_all_that_determines_its_weights(toy: Workspace) -> None:
    names = [[row.settings["training"] for row in study_of(toy, epochs=epochs).rows] for epochs in (1, 2, 1)]
    assert names[0] == names[2]
    assert not set(names[0]) & set(names[1])
    assert len(set(names[0])) == 2 * 2 * 5


def test_values_are_means_over_seeds_on_the_same_galaxies(compared) -> None:  # type: ignore[no-untyped-def]
    study, results, numbers = compared
    part, _ = study.tests["deck-7"]
    right = {}
    for arm in ("cnn deck", "cnn tuned"):
        rows = [row for row in results if (row["arm"], row["scheme"]) == (arm, "deck-7")]
        own = [scheme_table.saved_probabilities(study, row, part).argmax(axis=1) == part.labels for row in rows]
        right[arm] = np.mean(own, axis=0)
        assert numbers["deck-7"]["arms"][arm]["own"]["accuracy"] == pytest.approx(np.mean(own))
        assert numbers["deck-7"]["arms"][arm]["own"]["per_seed"] == pytest.approx([np.mean(seed) for seed in own])
    tuned = numbers["deck-7"]["arms"]["cnn tuned"]
    assert tuned["over_first"]["difference"] == pytest.approx((right["cnn tuned"] - right["cnn deck"]).mean())
    errors = [1 - right[arm].mean() for arm in ("cnn tuned", "cnn deck")]
    assert tuned["error_ratio"] == pytest.approx(errors[0] / errors[1])
    assert tuned["error_ratio_low"] <= tuned["error_ratio"] <= tuned["error_ratio_high"] < 1
    assert "over_first" not in numbers["deck-7"]["arms"]["cnn deck"]


def test_sums_answer_as_by_hand_and_differ_pairwise_from_own_models(compared) -> None:  # type: ignore[no-untyped-def]
    study, results, numbers = compared
    part, _ = study.tests["deck-3"]
    hits = []
    for row in results:
        if (row["arm"], row["scheme"]) == ("cnn tuned", "deck-11"):
            eleven = measures.apply_temperature(scheme_table.saved_probabilities(study, row, part), 1.5)
            three = np.stack([eleven[:, :3].sum(1), eleven[:, 3:7].sum(1), eleven[:, 7:].sum(1)], axis=1)
            hits.append(three.argmax(axis=1) == part.labels)
    tuned = numbers["deck-3"]["arms"]["cnn tuned"]
    assert tuned["summed"]["per_seed"] == pytest.approx([hit.mean() for hit in hits])
    expected = tuned["summed"]["accuracy"] - tuned["own"]["accuracy"]
    assert tuned["summed_over_own"]["difference"] == pytest.approx(expected)
    assert numbers["deck-11"]["arms"]["cnn tuned"]["summed"] is None


def test_labels_are_held_against_the_hidden_class(compared) -> None:  # type: ignore[no-untyped-def]
    study, _, numbers = compared
    truth = dict(zip(*(study.test_dataset.truth()[name].to_pylist() for name in ("id", "truth")), strict=True))
    for scheme in ALL:
        part, rules = study.tests[scheme][0], load_scheme(scheme)
        agrees = [
            rules.assign(TEXTS[TRUTH.index(truth[name])]).label == rules.classes[at]
            for name, at in zip(part.ids, part.labels, strict=True)
        ]
        assert numbers[scheme]["truth_agreement"]["accuracy"] == np.mean(agrees)
    assert numbers["deck-11"]["truth_agreement"]["accuracy"] < 1


def test_answers_are_also_held_against_the_hidden_class(compared) -> None:  # type: ignore[no-untyped-def]
    study, results, numbers = compared
    part, _ = study.tests["deck-11"]
    truth = dict(zip(*(study.test_dataset.truth()[name].to_pylist() for name in ("id", "truth")), strict=True))
    hidden = np.array([TRUTH.index(truth[name]) for name in part.ids])
    wrong = {}
    for arm in ("cnn deck", "cnn tuned"):
        rows = [row for row in results if (row["arm"], row["scheme"]) == (arm, "deck-11")]
        own = [scheme_table.saved_probabilities(study, row, part).argmax(axis=1) for row in rows]
        wrong[arm] = np.mean([answers != hidden for answers in own])
        found = numbers["deck-11"]["arms"][arm]["against_truth"]
        assert found["accuracy"] == pytest.approx(1 - wrong[arm])
    assert found["error_ratio"] == pytest.approx(wrong["cnn tuned"] / wrong["cnn deck"])


def test_baselines_come_first_and_beside_each_scheme(compared) -> None:  # type: ignore[no-untyped-def]
    study, results, numbers = compared
    lines = list(numbers["deck-3"]["baselines"])
    assert lines == ["majority class", "forest on redshift", "forest on image scalars"]
    table = study_tables(study, results, numbers)["deck-3"]
    assert [row[0] for row in table.rows] == [
        *lines,
        "labels against the hidden truth",
        "cnn deck",
        "cnn tuned",
        "cnn deck, against the hidden truth",
        "cnn tuned, against the hidden truth",
        "cnn deck, summed from deck-11",
        "cnn tuned, summed from deck-11",
    ]


def test_published_figures_stand_in_columns_of_other_data_and_never_beside_gz2s_two_classes(compared) -> None:  # type: ignore[no-untyped-def]
    study, _, numbers = compared
    assert set(PUBLISHED) == {"gz1-2class", *DECK_SCHEMES}
    table = accuracy_table(study, numbers)
    others = [at for at, name in enumerate(table.columns) if "Barchi" in name or name.startswith("deck ")]
    assert all(table.columns[at].endswith("(other data)") for at in others)
    assert all(name.endswith("(simulated)") for name in table.columns[2 : others[0]])
    by_scheme = {row[1]: [row[at] for at in others] for row in table.rows}
    assert by_scheme[TWO_CLASSES] == [None, None]
    assert by_scheme["deck-9"] == ["67.4", "70.9 / 70.5"]
    assert [row[0] for row in table.rows] == [2, 3, 7, 9, 11]


def test_the_page_says_what_it_is(compared) -> None:  # type: ignore[no-untyped-def]
    study, results, numbers = compared
    html = study_page(study, results, numbers, study_tables(study, results, numbers))
    for heading in (*ALL, "One model for all schemes", "Convergence and overfitting", "Provenance"):
        assert f">{heading}</h2>" in html
    assert "The images are simulated" in html
    assert "are those of Galaxy Zoo 1" in html
    assert html.count("<figure>") == 1 + len(ALL)


def test_an_error_ratio_to_a_perfect_arm_is_no_number() -> None:
    part = part_of(12)
    perfect, poor = (Answers(part, 2, predicted) for predicted in (part.labels[None], 1 - part.labels[None]))
    assert poor.error_ratio(perfect)["error_ratio"] is None
    assert perfect.error_ratio(poor)["error_ratio"] == 0


def part_of(count: int):  # type: ignore[no-untyped-def]
    from tasks.learning.split_parts import SplitPart

    names = [str(number) for number in range(count)]
    return SplitPart(names, np.arange(count), (np.arange(count) % 2).astype(np.int32), names)
