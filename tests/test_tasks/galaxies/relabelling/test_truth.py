"""The hidden truth as classes of a dataset's scheme."""

from tasks.galaxies.relabelling.truth import true_labels
from tasks.runtime.workspace import Workspace
from tests.small_galaxies import SCHEME, publish_galaxies


def test_true_classes_are_in_the_order_of_the_ids(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", 20, wrong=[1, 4])
    labels = dict(zip(*(dataset.labels(SCHEME)[name].to_pylist() for name in ("id", "label")), strict=True))
    ids = [*sorted(labels, reverse=True), "unknown"]
    truth = true_labels(dataset, SCHEME, ids)
    assert truth is not None
    assert truth[-1] == -1
    wrong = {name for name, at in zip(ids[:-1], truth, strict=False) if ["faint", "bright"][at] != labels[name]}
    assert wrong == {"sky-0001", "sky-0004"}


def test_without_truth_or_with_words_of_another_scheme_there_is_none(workspace: Workspace) -> None:
    assert true_labels(publish_galaxies(workspace, "sky", 20), SCHEME, ["sky-0000"]) is None
    foreign = publish_galaxies(workspace, "other", 20, wrong=[], truth=["E0", "Sa"])
    foreign.manifest["schemes"][SCHEME]["classes"] = ["round", "spiral"]
    assert true_labels(foreign, SCHEME, ["other-0000"]) is None


def test_a_kind_that_the_scheme_leaves_out_makes_any_label_wrong(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", 40, wrong=[])
    dataset.manifest["schemes"][SCHEME]["classes"] = ["faint", "middling"]
    truth = true_labels(dataset, SCHEME, dataset.samples()["id"].to_pylist())
    assert truth is not None
    assert set(truth.tolist()) == {0, 2}
