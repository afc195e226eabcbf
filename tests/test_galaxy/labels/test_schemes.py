"""Shipped schemes, users' files, and labels."""

from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galaxy.labels.labelling import class_counts, label_rows
from galaxy.labels.schemes import SHIPPED, SchemeError, load_scheme
from galaxy.labels.votes import QUESTIONS, STEMS, every_class, parse_class

OWN = """
name = "mine"
description = "Test."
columns = ["gz2_class", "gz2_class_derived"]
grammar = "gz2"
classes = ["round", "barred"]
rules = [
  {{ label = "round", when = {{ kind = "smooth", shape = "r" }} }},
  {{ label = "barred", when = {{ kind = "face_on", barred = true{more} }} }},
]
{rest}
"""


def own_scheme(folder: Path, rest: str = "", more: str = ""):
    path = folder / "mine.toml"
    path.write_text(OWN.format(rest=rest, more=more))
    return load_scheme(str(path))


def catalogue(classes: list[str | None], **columns) -> pa.Table:
    ids = pa.array([str(number) for number in range(len(classes))])
    return pa.table({"id": ids, "gz2_class": pa.array(classes, pa.string()), **columns})


def with_votes(classes: list[str], shares: dict[str, float], counts: dict[str, int]) -> pa.Table:
    votes = {f"{stem}_debiased": pa.array([shares.get(stem, 0.0)] * len(classes), pa.float32()) for stem in STEMS}
    votes |= {f"{stem}_count": pa.array([counts.get(stem, 0)] * len(classes), pa.int16()) for stem in STEMS}
    return catalogue(classes, **votes)


def prefix_label(text: str) -> str | None:
    """The authors' own recipe for 11 classes: a case-sensitive prefix, edge-on and stars match nothing."""
    prefixes = ("Ei", "Ec", "Er", "SBa", "SBb", "SBc", "SBd", "Sa", "Sb", "Sc", "Sd")
    return next((prefix for prefix in prefixes if text.startswith(prefix)), None)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scheme_decides_every_class_text(name: str) -> None:
    scheme = load_scheme(name)
    assert scheme.name == name
    texts = [str(item) for item in every_class()] if scheme.grammar == "gz2" else _gz1_texts(scheme)
    verdicts = [scheme.assign(text) for text in texts]
    assert {verdict.label for verdict in verdicts} - {None} == set(scheme.classes)
    assert all((verdict.label is None) != (verdict.excluded is None) for verdict in verdicts)
    assert "no_rule" not in {verdict.excluded for verdict in verdicts}


def _gz1_texts(scheme) -> tuple[str, ...]:
    flags = ("spiral", "elliptical", "uncertain")
    buttons = ("elliptical", "clockwise", "anticlockwise", "edge_on", "merger", "dont_know")
    return flags if scheme.columns == ("gz1_class",) else buttons


def test_deck_11_is_the_published_prefix_match() -> None:
    renamed = {"Er": "E0", "Ei": "E3", "Ec": "E7"}
    scheme = load_scheme("deck-11")
    for item in every_class():
        prefix = prefix_label(str(item))
        assert scheme.assign(str(item)).label == renamed.get(prefix, prefix)


@pytest.mark.parametrize(
    ("name", "images"), [("deck-3", 45_998), ("deck-7", 45_355), ("deck-9", 45_355), ("deck-11", 45_998)]
)
def test_deck_schemes_nest(name: str, images: int) -> None:
    """Those of 3 and 11 share one image set, those of 7 and 9 the same without the bulgeless discs."""
    scheme, eleven = load_scheme(name), load_scheme("deck-11")
    assert scheme.deck_counts == {"images": images}
    for item in every_class():
        full, label = eleven.assign(str(item)).label, scheme.assign(str(item)).label
        expected = full if images == 45_998 or full not in ("Sd", "SBd") else None
        assert (label is None) == (expected is None)


def test_unknown_scheme_names_those_there_are() -> None:
    with pytest.raises(SchemeError, match=r"unknown scheme 'deck-4'.*deck-3.*barchi-9"):
        load_scheme("deck-4")


@pytest.mark.parametrize("body", [b'name = "\xff"', b"a = " + b"[" * 5000])
def test_bytes_that_are_no_toml_are_refused_by_the_files_name(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "own.toml").write_bytes(body)
    with pytest.raises(SchemeError, match=r"own\.toml is not TOML"):
        load_scheme(str(tmp_path / "own.toml"))


@pytest.mark.parametrize(
    ("rest", "more", "message"),
    [
        (
            '[[exclude]]\nwhy = "ring"\nwhen = { odd = "r" }',
            "",
            r"rule 1 \(round\) and exclude 1 \(ring\) overlap.*'Er\(r\)'",
        ),
        ('[[rules]]\nlabel = "oval"\nwhen = { shape = "i" }', "", r"not TOML|'oval'"),
        ("colour = 3", "", "colour: Extra inputs"),
        ("", ', bulge = "e"', "rules.1.when.bulge"),
        ("", ', text = "SBb"', "tests .'text'., which grammar 'gz2'"),
        ('[[cuts]]\nquantity = "z"\nmin = 0', "", "cuts.0.quantity"),
        ('[[cuts]]\nquantity = "redshift"', "", "neither min nor max"),
        ('[[cuts]]\nquantity = "redshift"\nmin = 1\nmax = 0', "", "min 1.0 above max 0.0"),
        ("[votes]\nmin_fraction = 1.5", "", "votes.min_fraction"),
    ],
)
def test_a_scheme_that_does_not_hold_together_is_refused(tmp_path, rest, more, message) -> None:
    with pytest.raises(SchemeError, match=message):
        own_scheme(tmp_path, rest, more)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('label = "barred"', 'label = "bared"', "'bared' is not among the classes"),
        ('"round", "barred"]', '"round", "barred", "ring"]', r"classes \['ring'\] have no rule"),
        ('"round", "barred"]', '"round", "barred", "round"]', "twice"),
        ('name = "mine"', 'name = "deck-3"', "takes the shipped name 'deck-3'"),
        ('name = "mine"', 'name = "../mine"', "name='../mine': String should match"),
    ],
)
def test_labels_classes_and_name_must_agree(tmp_path, old, new, message) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN.format(rest="", more="").replace(old, new))
    with pytest.raises(SchemeError, match=message):
        load_scheme(str(path))


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xa4" + OWN.format(rest="", more="").encode())
    with pytest.raises(SchemeError, match=rf"scheme {path} is not TOML, which is text in UTF-8: .*0xa4"):
        load_scheme(str(path))


def test_two_rules_for_one_text_overlap(tmp_path) -> None:
    text = resources.files("galaxy") / "schemes" / "gz1-2class.toml"
    path = tmp_path / "two.toml"
    path.write_text(text.read_text().replace("gz1-2class", "two").replace('["spiral"]', '["spiral", "elliptical"]', 1))
    with pytest.raises(SchemeError, match=r"rule 1 \(elliptical\) and rule 2 \(spiral\) overlap"):
        load_scheme(str(path))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('kind = "smooth", shape = "r"', 'kind = "smooth", barred = true'),
        ('kind = "smooth", shape = "r"', 'kind = "edge_on", shape = "r"'),
        ('kind = "smooth", shape = "r"', "kind = []"),
    ],
)
def test_a_class_that_no_galaxy_can_have_is_refused(tmp_path, old: str, new: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN.format(rest="", more="").replace(old, new))
    with pytest.raises(
        SchemeError, match=r"class 'round' is unreachable: no class text meets .*; mend its conditions or"
    ):
        load_scheme(str(path))


@pytest.mark.parametrize(
    ("labels", "circle"),
    [
        ({"left": "right", "right": "left"}, "'left' -> 'right' -> 'left'"),
        ({"left": "right", "right": "none", "none": "left"}, "'left' -> 'right' -> 'none' -> 'left'"),
        ({"left": "left", "right": "right"}, None),
        ({"left": "right", "L": "left"}, None),
    ],
)
def test_rules_that_rename_classes_in_a_circle_are_refused(
    tmp_path, labels: dict[str, str], circle: str | None
) -> None:
    classes = list(dict.fromkeys(labels.values()))
    rules = ", ".join(f'{{label = "{label}", when = {{text = "{text}"}}}}' for text, label in labels.items())
    path = tmp_path / "hands.toml"
    path.write_text(
        'name = "hands"\ndescription = ""\ncolumns = ["hand"]\ngrammar = "text"\n'
        f"classes = {classes}\nrules = [{rules}]\n".replace("'", '"')
    )
    if circle is None:
        assert load_scheme(str(path)).assign("left").label == labels["left"]
    else:
        with pytest.raises(SchemeError, match=f"in a circle, .*{circle.partition(' -> ')[2]}"):
            load_scheme(str(path))


def test_digest_follows_rules_and_not_the_description(tmp_path) -> None:
    one = own_scheme(tmp_path)
    path = tmp_path / "mine.toml"
    path.write_text(path.read_text().replace('"Test."', '"Other words."'))
    assert load_scheme(str(path)).digest == one.digest
    assert own_scheme(tmp_path, more=', bulge = "b"').digest != one.digest


def test_derived_class_stands_in_where_the_tables_own_is_missing() -> None:
    rows = catalogue(["Er", None, None, "Sx"], gz2_class_derived=pa.array(["Sb", "SBc", None, "Er"]))
    labels = label_rows(load_scheme("deck-3"), rows)
    assert labels["label"].to_pylist() == ["E", "SB", None, None]
    assert labels["excluded"].to_pylist() == [None, None, "class_missing", "class_unreadable"]


def test_cuts_reject_by_their_quantity_and_missing_values_too() -> None:
    rows = catalogue(
        ["Er"] * 7,
        redshift=[0.03, 0.1, 0.029, 0.11, None, 0.05, 0.05],
        r_mag=[15.0, 17.78, 15.0, 15.0, 15.0, 17.8, 15.0],
        galactic_latitude_deg=[30.0, -30.0, 50.0, 50.0, 50.0, 50.0, -29.0],
    )
    excluded = label_rows(load_scheme("barchi-9"), rows)["excluded"].to_pylist()
    assert excluded == [None, None, "redshift", "redshift", "redshift_missing", "r_mag", "galactic_latitude_deg"]
    counts, left_out = class_counts(load_scheme("barchi-9"), rows.select(["id", "gz2_class"]))
    assert left_out == {"redshift_missing": 7}
    assert sum(counts.values()) == 0
    assert class_counts(load_scheme("barchi-9"), rows, cuts=False)[0]["E"] == 7


def test_vote_fraction_is_the_weakest_question_on_the_path_and_voters_the_fewest() -> None:
    shares = {
        "t01_smooth_or_features_a02_features_or_disk": 0.9,
        "t01_smooth_or_features_a01_smooth": 0.3,  # Hart's do not sum to 1
        "t02_edgeon_a05_no": 0.8,
        "t02_edgeon_a04_yes": 0.2,
        "t03_bar_a06_bar": 0.6,
        "t03_bar_a07_no_bar": 0.4,
        "t05_bulge_prominence_a12_obvious": 0.35,
        "t05_bulge_prominence_a11_just_noticeable": 0.65,
    }
    counts = {stem: round(40 * share) for stem, share in shares.items()}
    counts["t05_bulge_prominence_a12_obvious"] = 2
    rows = with_votes(["SBb"], shares, counts)
    by_bar, by_bulge = label_rows(load_scheme("deck-3"), rows), label_rows(load_scheme("deck-11"), rows)
    assert by_bar["vote_fraction"][0].as_py() == pytest.approx(0.6)
    assert by_bar["votes_at_node"][0].as_py() == 40
    assert by_bulge["vote_fraction"][0].as_py() == pytest.approx(0.35)
    assert by_bulge["votes_at_node"][0].as_py() == 28


@settings(max_examples=40)
@given(st.sampled_from([str(item) for item in every_class()]), st.integers(0, 1 << 30))
def test_limits_hold_at_every_question_on_the_path(text: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares, counts = {}, {}
    for question, answers in QUESTIONS.items():
        drawn = rng.dirichlet(np.ones(len(answers)))
        shares |= {f"{question}_{a}": float(s) for a, s in zip(answers, drawn, strict=True)}
        counts |= {f"{question}_{a}": int(n) for a, n in zip(answers, rng.integers(0, 9, len(answers)), strict=True)}
    scheme = load_scheme("deck-11")
    labels = label_rows(scheme, with_votes([text], shares, counts))
    path = scheme.assign(text).path
    if not path:
        assert labels["vote_fraction"][0].as_py() is None
        return
    on_path = [shares[f"{question}_{QUESTIONS[question][answer]}"] for question, answer in path.items()]
    voters = [sum(counts[f"{question}_{a}"] for a in QUESTIONS[question]) for question in path]
    assert labels["vote_fraction"][0].as_py() == pytest.approx(min(on_path), rel=1e-5)
    assert labels["votes_at_node"][0].as_py() == min(voters)
    kinds = {"smooth": 2, "face_on": 4}
    assert len(path) == kinds[parse_class(text).kind]


def test_minimum_agreement_leaves_rows_out(tmp_path) -> None:
    shares = {"t01_smooth_or_features_a01_smooth": 0.7, "t07_rounded_a16_completely_round": 0.55}
    shares |= {"t01_smooth_or_features_a02_features_or_disk": 0.3, "t07_rounded_a17_in_between": 0.45}
    rows = with_votes(["Er"], shares, {"t01_smooth_or_features_a01_smooth": 40, "t07_rounded_a16_completely_round": 12})
    for limits, expected in [
        ("min_fraction = 0.5\nmin_voters = 12", None),
        ("min_fraction = 0.6", "votes"),
        ("min_voters = 13", "votes"),
    ]:
        scheme = own_scheme(tmp_path, f"[votes]\n{limits}")
        assert label_rows(scheme, rows)["excluded"].to_pylist() == [expected]
    t01 = [name for name in rows.column_names if name.startswith("t01")]
    blank = rows.drop_columns(t01)
    for name in t01:
        blank = blank.append_column(name, pa.nulls(1, rows[name].type))
    assert label_rows(scheme, blank)["excluded"].to_pylist() == ["votes_missing"]


@pytest.mark.parametrize(
    ("limit", "measure", "message"),
    [
        (
            "min_fraction = 0.5",
            "debiased",
            "min_fraction=0.5.*lacks 3 columns.*t07_rounded_a16_completely_round_debiased",
        ),
        ("min_voters = 2", "count", "min_voters=2, .*lacks 3 columns.*t07_rounded_a16_completely_round_count"),
    ],
)
def test_a_limit_on_votes_that_the_catalogue_lacks_is_refused(tmp_path, limit, measure, message) -> None:
    rows = with_votes(["Er", "A"], {}, {})
    lacking = [name for name in rows.column_names if name.startswith("t07") and name.endswith(measure)]
    scheme = own_scheme(tmp_path, f"[votes]\n{limit}")
    with pytest.raises(SchemeError, match=message):
        label_rows(scheme, rows.drop_columns(lacking))
    without_limit = own_scheme(tmp_path)
    label = label_rows(without_limit, rows.drop_columns(lacking))
    assert label["label"].to_pylist()[0] == "round"
    assert label["vote_fraction" if measure == "debiased" else "votes_at_node"].to_pylist() == [None, None]


def test_a_catalogue_without_the_schemes_columns_is_refused() -> None:
    with pytest.raises(SchemeError, match=r"gz1-2class needs a column of \['gz1_class'\]"):
        label_rows(load_scheme("gz1-2class"), catalogue(["Er"]))


def test_labels_keep_the_catalogues_order_and_ids() -> None:
    rows = catalogue([str(item) for item in every_class()])
    labels = label_rows(load_scheme("deck-11"), rows)
    assert labels["id"].to_pylist() == rows["id"].to_pylist()
    assert labels["label"].null_count + labels["excluded"].null_count == rows.num_rows


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("gz1-2class", "fff73610a35d835a36c447e9b16ae680e8e0387069af97c868e881bcded2c5d8"),
        ("gz1-majority-2class", "10d1fec697d2821cc2ff5feb43e13b6b67c9ee11a8919faa8b48cedc3e4780cd"),
        ("deck-3", "24f320bc8ae4dfb04c8fe6c6a15290487cfa8f3ed4c434c2f5869659c0d57662"),
        ("deck-7", "d88066455b38df6a963d218842d926e0c8c5a5b88198b64a8e52903e8a59fec5"),
        ("deck-9", "9ea1cbaefdeced57f197206d1c37e53645a9f317652e78e038bc45aef2e9d312"),
        ("deck-11", "91045cdc3c9240190f1abc9863d7e98f179ca68e7fe6f50c9361cdab79a3c6e3"),
        ("gz2-2class", "98ea4dc9eea86a14117d177b4fe55a242ae97371e47df789d9314c22fe6d0a02"),
        ("barchi-9", "38c4f745b86e8b86b69f00dde35878789c63c8c7243a2eb2b6fdc679ce02d6a6"),
    ],
)
def test_a_shipped_scheme_keeps_the_digest_that_datasets_and_models_record(name: str, digest: str) -> None:
    assert load_scheme(name).digest == digest


@pytest.mark.parametrize("limit", ["min_fraction = 0.5", "min_voters = 5"])
def test_limits_of_votes_need_the_grammar_of_the_tree(tmp_path, limit: str) -> None:
    text = (resources.files("galaxy") / "schemes" / "gz1-2class.toml").read_text().replace("gz1-2class", "own")
    path = tmp_path / "own.toml"
    path.write_text(f"{text}\n[votes]\n{limit}\n")
    with pytest.raises(SchemeError, match=r"\[votes\] needs grammar 'gz2'"):
        load_scheme(str(path))


def test_excluded_rows_are_counted_most_frequent_first(tmp_path) -> None:
    catalogue = pa.table({"id": list("abcdef"), "gz2_class": ["A", None, None, "Er", "Se", None]})
    counts, excluded = class_counts(load_scheme("deck-3"), catalogue)
    assert counts == {"E": 1, "S": 0, "SB": 0}
    assert next(iter(excluded.items())) == ("class_missing", 3)
    assert sorted(excluded.values(), reverse=True) == list(excluded.values())


@pytest.mark.parametrize(("edge", "excluded"), [(0.03, None), (0.0299, "redshift"), (0.1, None), (0.1001, "redshift")])
def test_a_cut_includes_its_ends(tmp_path, edge: float, excluded: str | None) -> None:
    scheme = own_scheme(tmp_path, rest='[[cuts]]\nquantity = "redshift"\nmin = 0.03\nmax = 0.1')
    rows = label_rows(scheme, pa.table({"id": ["a"], "gz2_class": ["Er"], "redshift": [edge]}))
    assert rows["excluded"].to_pylist() == [excluded]


def test_a_mirror_is_part_of_the_digest_only_where_it_is_given(tmp_path: Path) -> None:
    plain = own_scheme(tmp_path)
    mirrored = own_scheme(tmp_path, 'mirror = [["round", "barred"]]')
    assert mirrored.mirror == (("round", "barred"),)
    assert own_scheme(tmp_path, "mirror = []").digest == plain.digest != mirrored.digest


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ('[["round", "spiral"]]', "mirror names 'spiral', which is not among the classes"),
        ('[["round", "round"]]', "mirror names 'round' twice"),
        ('[["round", "barred"], ["barred", "round"]]', "twice"),
        ('[["round"]]', "mirror.0"),
    ],
)
def test_a_mirror_that_is_no_exchange_of_classes_is_refused(tmp_path: Path, pairs: str, message: str) -> None:
    with pytest.raises(SchemeError, match=message):
        own_scheme(tmp_path, f"mirror = {pairs}")
