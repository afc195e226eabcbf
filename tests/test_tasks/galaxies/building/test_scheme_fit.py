"""Whether a scheme fits: what it names must be in the data."""

import pyarrow as pa
import pytest

from galaxy.labels.schemes import Scheme, SchemeError
from tasks.galaxies.building.scheme_fit import require_classes, require_labels, require_same_scheme
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError

SCHEME = Scheme.model_validate(
    {
        "name": "two",
        "description": "",
        "columns": ["look", "other"],
        "grammar": "text",
        "classes": ["a", "b"],
        "rules": [{"label": "a", "when": {"text": "a"}}, {"label": "b", "when": {"text": "b"}}],
    }
)


def planned(labels: list[str | None]) -> pa.Table:
    reasons = [None if label else "scheme:no_rule" for label in labels]
    ids = [str(number) for number, _ in enumerate(labels, 1)]
    return pa.table({"id": ids, "label": pa.array(labels, pa.string()), "left_out": pa.array(reasons, pa.string())})


def test_a_scheme_must_label_an_object() -> None:
    texts = pa.table({"id": ["1", "2", "3"], "look": ["c", "c", "d"]})
    require_labels(SCHEME, planned(["a", None]), texts, "cat.parquet")
    of_these = r"two leaves out all 2 .* cat\.parquet: scheme:no_rule 2; its look says 'c' \(2\); change"
    with pytest.raises(SchemeError, match=of_these):
        require_labels(SCHEME, planned([None, None]), texts, "cat.parquet")


def test_a_class_may_be_missing_from_the_objects_but_not_from_the_catalogue() -> None:
    catalogue = pa.table({"id": ["1", "2", "3"], "look": ["a", None, None], "other": [None, "b", "b"]})
    require_classes(SCHEME, planned(["a"]), catalogue, "cat.parquet")
    with pytest.raises(SchemeError, match=r"is of class 'b' of scheme two; its look or other says 'a' \(1\)"):
        require_classes(SCHEME, planned(["a"]), catalogue.slice(0, 1), "cat.parquet")


@pytest.mark.parametrize(
    ("name", "digest", "fits"), [("two", SCHEME.digest, True), ("two", "0", False), ("x", "0", True)]
)
def test_a_name_stands_for_the_same_rules(tmp_path, name: str, digest: str, fits: bool) -> None:
    published = Dataset(tmp_path, {"name": "sky", "schemes": {name: {"digest": digest}}})
    require_same_scheme(None, published)
    require_same_scheme(SCHEME, None)
    if fits:
        require_same_scheme(SCHEME, published)
    else:
        with pytest.raises(StoreError, match="another scheme of the name 'two'"):
            require_same_scheme(SCHEME, published)
