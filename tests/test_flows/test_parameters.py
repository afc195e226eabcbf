"""`-p name=value`: read by the parameter's type, refused by name, value and type."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from flows.cli.parameters import ParameterError, describe_type, parameters_of, read_parameters
from tasks.galaxies.methods import TrainingMethods

Bounded = Annotated[int, Field(description="How many", ge=1, le=9)]


def takes(
    text: str = "",
    optional_text: str | None = None,
    path: Path = Path(),
    word: Literal["a", "b"] = "a",
    optional_word: Literal["a", "b"] | None = None,
    count: Bounded = 1,
    optional_count: int | None = 5,
    share: float = 0.5,
    optional_share: float | None = 0.5,
    flag: bool = False,
    words: list[str] | None = None,
    numbers: list[int] = [],  # noqa: B006  # a default as flows write it
    table: dict[str, Any] | None = None,
    methods: TrainingMethods | None = None,
) -> None:
    """Take one parameter of every kind that flows have."""


def read(pair: str) -> Any:
    return read_parameters(takes, [pair])[pair.partition("=")[0]]


@given(st.text())
def test_text_stays_as_written(text: str) -> None:
    assert read(f"text={text}") == text


@given(st.text().filter(lambda text: text != "null"))
def test_only_null_is_no_text_where_text_may_be_absent(text: str) -> None:
    assert read(f"optional_text={text}") == text
    assert read("optional_text=null") is None


@given(st.integers(1, 9), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_numbers_and_truth_values_read_as_json(count: int, share: float, flag: bool) -> None:
    assert read(f"count={json.dumps(count)}") == count
    assert read(f"optional_share={json.dumps(share)}") == share
    assert read(f"flag={json.dumps(flag)}") is flag


@given(st.lists(st.text(st.characters(exclude_characters=",", exclude_categories=["Z", "C"]), min_size=1)))
def test_a_list_is_json_or_words(words: list[str]) -> None:
    assert read(f"words={json.dumps(words)}") == words
    if not words or not words[0].startswith(("[", "null")):
        assert read(f"words={','.join(words)}") == words


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("text=007", "007"),
        ("text=a=b", "a=b"),
        ("optional_text=5", "5"),
        ("optional_text=true", "true"),
        ("path=a/b", Path("a/b")),
        ("word=b", "b"),
        ("optional_word=null", None),
        ("optional_count=null", None),
        ("optional_count=7", 7),
        ("share=2", 2.0),
        ("share=1e-3", 0.001),
        ("words=null", None),
        ("numbers=1, 2", [1, 2]),
        ("numbers=[3]", [3]),
        ('table={"a": 1}', {"a": 1}),
    ],
)
def test_values(pair: str, value: Any) -> None:
    assert read(pair) == value
    assert type(read(pair)) is type(value)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("count=many", ["'count'", "'many'", "whole number"]),
        ("count=1.0", ["'count'", "'1.0'", "whole number"]),
        ("count=true", ["'count'", "'true'", "whole number"]),
        ("count=10", ["'count'", "'10'", "less than or equal to 9"]),
        ("optional_count=null!", ["'optional_count'", "whole number or null"]),
        ("share=NaN", ["'share'", "'NaN'", "number"]),
        ("flag=yes", ["'flag'", "'yes'", "true or false"]),
        ("flag=1", ["'flag'", "'1'", "true or false"]),
        ("word=A", ["'word'", "one of a, b", "'A'. Did you mean a?"]),
        ("optional_word=nul", ["one of a, b or null", "Did you mean null?"]),
        ("flag=True", ["true or false", "Did you mean true?"]),
        ("word=c", ["'word'", "'c'", "one of a, b"]),
        ("numbers=1,x", ["'numbers'", "'1,x'", "list of whole number"]),
        ("limt=3", ["'limt'", "text, optional_text"]),
        ("count", ["count", "name=value"]),
    ],
)
def test_refusals_name_parameter_value_and_type(pair: str, words: list[str]) -> None:
    with pytest.raises(ParameterError) as refusal:
        read(pair)
    for word in words:
        assert word in str(refusal.value)


def test_a_later_pair_wins() -> None:
    assert read_parameters(takes, ["count=2", "count=3"]) == {"count": 3}


def test_a_parameter_without_default_must_be_given() -> None:
    def needs(model: str) -> None: ...

    with pytest.raises(ParameterError, match="'model'"):
        read_parameters(needs, [])


def test_descriptions_and_types_for_the_help() -> None:
    assert parameters_of(takes)["count"].description == "How many"
    assert describe_type(list[int] | None) == "list of whole number or null"


def test_a_model_is_read_as_json_and_its_faults_are_named_by_field() -> None:
    assert read('methods={"soft_labels": true, "layer_decay": 1}') == TrainingMethods(soft_labels=True, layer_decay=1)
    assert read("methods=null") is None
    assert describe_type(TrainingMethods | None) == "JSON object or null"
    for text, fault in (
        ('{"soft": true}', "unknown method 'soft'; there are: balance"),
        ('{"layer_decay": 2}', "layer_decay: Input should be less than or equal to 1"),
        ('{"mirror": "yes"}', "mirror: Input should be a valid boolean"),
        ('{"balance": "even"}', "balance: Input should be 'none', 'weights' or 'sampling'"),
        ("soft_labels", "expected JSON object or null, got 'soft_labels'"),
    ):
        with pytest.raises(ParameterError, match=fault):
            read(f"methods={text}")
