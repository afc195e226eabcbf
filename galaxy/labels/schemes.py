"""Class schemes: declarative files that define labels by columns, rules and cuts.

A scheme is a TOML file. Those in `galaxy/schemes/` are shipped; a user's own is named by its path. It holds
``name``, ``description``, ``columns`` (a row's class text is its first non-null value), ``grammar``
(``gz2``: the text is parsed as a `gz2_class` string and rules test its fields; ``text``: rules list the text itself),
``classes`` in order, ``[[rules]]`` (``label``, ``when``), ``[[exclude]]`` (``why``, ``when``), ``[[cuts]]``
(``quantity``, ``min``, ``max``, both inclusive, ``absolute``), ``[votes]`` (``min_fraction``, ``min_voters``) and
``mirror`` (pairs of classes that a mirror image exchanges, such as the two senses of winding; the others it keeps).

Decisions
---------
- The ``gz2`` schemes read the table's own ``gz2_class`` and, row by row where it is null, ``gz2_class_derived``.
- The ``deck-*`` schemes cut nothing, since the deck states no cut; ``barchi-9`` has its authors' redshift range and
  the latitude and magnitude limits of the public reproduction. `class_counts` counts with cuts and without.
- A missing value of a cut's quantity leaves the row out as ``<quantity>_missing``; it never passes.
- The path of a class holds the questions behind the fields that its rule tests and the questions before them: ``E``
  of deck-3 is decided by the first question alone, ``E0`` of deck-11 by roundness as well.
- The fraction at a question is the debiased fraction of the path's answer, divided by the sum over the question's
  answers (Hart's do not sum to 1). ``vote_fraction`` is the smallest on the path and ``votes_at_node`` the smallest
  number of voters, so that both thresholds hold at every question exactly when they hold for these two.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from galaxy.labels.votes import QUESTIONS, GalaxyClass, every_class, parse_class

SHIPPED: tuple[str, ...] = (
    "gz1-2class",
    "gz1-majority-2class",
    "gz2-2class",
    "deck-3",
    "deck-7",
    "deck-9",
    "deck-11",
    "barchi-9",
)
CUT_QUANTITIES: tuple[str, ...] = (
    "redshift",
    "r_mag",
    "r_mag_corrected",
    "petro_r50_arcsec",
    "petro_r90_arcsec",
    "galactic_latitude_deg",
    "area_ratio",
)


class SchemeError(ValueError):
    """A scheme does not exist or is inconsistent."""


def _as_tuple(value: Any) -> Any:
    """Accept a single word where a list is allowed."""
    return (value,) if isinstance(value, str | bool) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Strict):
    """The condition of a rule: each given field of the class must have one of the field's values."""

    kind: Annotated[tuple[Literal["smooth", "edge_on", "face_on", "star"], ...] | None, BeforeValidator(_as_tuple)] = (
        None
    )
    shape: Annotated[tuple[Literal["r", "i", "c"], ...] | None, BeforeValidator(_as_tuple)] = None
    edge_bulge: Annotated[tuple[Literal["r", "b", "n"], ...] | None, BeforeValidator(_as_tuple)] = None
    barred: Annotated[tuple[bool, ...] | None, BeforeValidator(_as_tuple)] = None
    bulge: Annotated[tuple[Literal["a", "b", "c", "d"], ...] | None, BeforeValidator(_as_tuple)] = None
    arms: Annotated[tuple[Literal["1", "2", "3", "4", "+", "?"], ...] | None, BeforeValidator(_as_tuple)] = None
    winding: Annotated[tuple[Literal["t", "m", "l"], ...] | None, BeforeValidator(_as_tuple)] = None
    odd: Annotated[tuple[Literal["r", "l", "d", "i", "o", "m", "u"], ...] | None, BeforeValidator(_as_tuple)] = None
    text: Annotated[tuple[str, ...] | None, BeforeValidator(_as_tuple)] = None
    """The class text itself, for schemes of grammar ``text``."""

    @cached_property
    def given(self) -> dict[str, tuple]:
        """The fields given in the file, with their allowed values."""
        return {name: value for name, value in self if value is not None}

    @cached_property
    def fields(self) -> frozenset[str]:
        """Names of the given fields."""
        return frozenset(self.given)

    def holds(self, parsed: GalaxyClass) -> bool:
        """Return whether a parsed class meets every given field."""
        return all(getattr(parsed, name) in allowed for name, allowed in self.given.items())


class LabelRule(_Strict):
    """Rows that meet `when` get `label`."""

    label: str
    when: Condition


class Exclusion(_Strict):
    """Rows that meet `when` get no label, for the reason `why`."""

    why: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    when: Condition


class Cut(_Strict):
    """Rows whose `quantity` lies outside [min, max] get no label."""

    quantity: Literal[CUT_QUANTITIES]  # type: ignore[valid-type]
    min: float | None = None
    max: float | None = None
    absolute: bool = False
    """The limits hold for the absolute value (galactic latitude)."""

    @model_validator(mode="after")
    def _limits_make_sense(self) -> "Cut":
        if self.min is None and self.max is None:
            raise ValueError(f"cut on {self.quantity} has neither min nor max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"cut on {self.quantity} has min {self.min} above max {self.max}")
        return self


class VoteLimits(_Strict):
    """Least agreement at every question on the path to the class."""

    min_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    min_voters: Annotated[int, Field(ge=0)] = 0


class Scheme(_Strict):
    """One class scheme; see the module's docstring for each field."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    description: str
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    grammar: Literal["gz2", "text"]
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    rules: Annotated[tuple[LabelRule, ...], Field(min_length=1)]
    exclude: tuple[Exclusion, ...] = ()
    cuts: tuple[Cut, ...] = ()
    votes: VoteLimits = VoteLimits()
    mirror: tuple[tuple[str, str], ...] = ()
    """Pairs of classes that a mirror image exchanges."""
    deck_counts: dict[str, int] | None = None
    """Counts of images that the deck states for this scheme, ``images`` in all."""

    @cached_property
    def digest(self) -> str:
        """sha256 of everything that affects a label; without the description. ``mirror`` counts where it is given."""
        excluded = {"description", "deck_counts"} | (set() if self.mirror else {"mirror"})
        text = json.dumps(self.model_dump(mode="json", exclude=excluded), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def tested_fields(self) -> frozenset[str]:
        """Fields of a class that rules and exclusions test."""
        return frozenset().union(*(when.fields for _, when in self._conditions()))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Columns of the catalogue that `label_rows` reads where they exist."""
        votes = [f"{q}_{a}_{m}" for q in QUESTIONS for a in QUESTIONS[q] for m in ("debiased", "count")]
        cuts = dict.fromkeys(cut.quantity for cut in self.cuts)
        return ("id", *self.columns, *cuts, *(votes if self.grammar == "gz2" else ()))

    @model_validator(mode="after")
    def _labels_are_classes(self) -> "Scheme":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes {list(self.classes)} name a class twice")
        for rule in self.rules:
            if rule.label not in self.classes:
                raise ValueError(f"rule's label {rule.label!r} is not among the classes {list(self.classes)}")
        without = [name for name in self.classes if name not in {rule.label for rule in self.rules}]
        if without:
            raise ValueError(f"classes {without} have no rule")
        return self

    @model_validator(mode="after")
    def _mirror_pairs_classes(self) -> "Scheme":
        names = [name for pair in self.mirror for name in pair]
        for name in names:
            if name not in self.classes:
                raise ValueError(f"mirror names {name!r}, which is not among the classes {list(self.classes)}")
            if names.count(name) > 1:
                raise ValueError(f"mirror names {name!r} twice: a class has one mirror image")
        return self

    @model_validator(mode="after")
    def _conditions_fit_the_grammar(self) -> "Scheme":
        for where, when in self._conditions():
            wrong = when.fields - {"text"} if self.grammar == "text" else when.fields & {"text"}
            if wrong or not when.fields:
                raise ValueError(
                    f"{where} tests {sorted(wrong) or 'nothing'}, which grammar {self.grammar!r} does not allow"
                )
        if self.grammar == "text" and (self.votes.min_fraction or self.votes.min_voters):
            raise ValueError("[votes] needs grammar 'gz2': only its classes have a path of questions")
        return self

    @model_validator(mode="after")
    def _no_two_conditions_overlap(self) -> "Scheme":
        for case in self._cases():
            met = [where for where, when in self._conditions() if self._meets(case, when)]
            if len(met) > 1:
                raise ValueError(f"{met[0]} and {met[1]} overlap: both hold for {str(case)!r}")
        return self

    @model_validator(mode="after")
    def _every_class_is_reachable(self) -> "Scheme":
        cases = self._cases()
        reached = {rule.label for rule in self.rules if any(self._meets(case, rule.when) for case in cases)}
        for name in self.classes:
            if name not in reached:
                given = " or ".join(str(rule.when.given) for rule in self.rules if rule.label == name)
                raise ValueError(
                    f"class {name!r} is unreachable: no class text meets {given}; mend its conditions or leave it out"
                )
        return self

    @model_validator(mode="after")
    def _names_do_not_go_in_a_circle(self) -> "Scheme":
        renamed = {text: rule.label for rule in self.rules for text in rule.when.text or ()}
        for first in self.classes:
            chain = [first]
            while (name := renamed.get(chain[-1], first)) not in chain:
                chain.append(name)
            if len(chain) > 1 and renamed.get(chain[-1]) == first:
                circle = " -> ".join(map(repr, (*chain, first)))
                raise ValueError(f"the rules rename classes in a circle, {circle}: name the classes unlike the texts")
        return self

    def _conditions(self) -> list[tuple[str, Condition]]:
        rules = [(f"rule {number} ({rule.label})", rule.when) for number, rule in enumerate(self.rules, 1)]
        return rules + [(f"exclude {number} ({item.why})", item.when) for number, item in enumerate(self.exclude, 1)]

    def _cases(self) -> Sequence[GalaxyClass | str]:
        """Return every possible class: the grammar's 1,265, or the texts that the scheme names."""
        if self.grammar == "gz2":
            return tuple(every_class())
        return tuple(dict.fromkeys(text for _, when in self._conditions() for text in when.text or ()))

    def _meets(self, case: GalaxyClass | str, when: Condition) -> bool:
        return case in (when.text or ()) if isinstance(case, str) else when.holds(case)

    def assign(self, text: str | None) -> "ClassAssignment":
        """Return the label of one class text, or why it has none, and the questions on its path."""
        if text is None or not text.strip():
            return ClassAssignment(None, "class_missing", {})
        case: GalaxyClass | str = text.strip()
        if self.grammar == "gz2":
            try:
                case = parse_class(text)
            except ValueError:
                return ClassAssignment(None, "class_unreadable", {})
        for item in self.exclude:
            if self._meets(case, item.when):
                return ClassAssignment(None, item.why, {})
        for rule in self.rules:
            if self._meets(case, rule.when):
                path = case.answers(rule.when.fields) if isinstance(case, GalaxyClass) else {}
                return ClassAssignment(rule.label, None, path)
        return ClassAssignment(None, "no_rule", {})


class ClassAssignment(NamedTuple):
    """The outcome of a scheme for one class text: a label, or the reason why there is none."""

    label: str | None
    excluded: str | None
    path: dict[str, int]
    """Question -> index of the answer that leads to the class."""


def load_scheme(name_or_path: str) -> Scheme:
    """Load a shipped scheme by name, or a user's TOML file by path.

    Raises
    ------
    SchemeError
        No such scheme or file, a file that is not valid, or a file that takes a shipped scheme's name.
    """
    if name_or_path in SHIPPED:
        return _read(
            resources.files("galaxy").joinpath("schemes", f"{name_or_path}.toml").read_text("utf-8"), name_or_path
        )
    path = Path(name_or_path)
    if not path.is_file():
        raise SchemeError(
            f"unknown scheme {name_or_path!r}: give one of {', '.join(SHIPPED)}, or the path of a TOML file"
        )
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SchemeError(f"scheme {path} is not TOML, which is text in UTF-8: {error}") from error
    scheme = _read(text, str(path))
    if scheme.name in SHIPPED and scheme != load_scheme(scheme.name):
        raise SchemeError(
            f"scheme file {path} takes the shipped name {scheme.name!r} for other rules: give it its own name"
        )
    return scheme


def _read(text: str, where: str) -> Scheme:
    try:
        return Scheme.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:  # the latter: of brackets in brackets
        raise SchemeError(f"scheme {where} is not TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(_fault_text(item) for item in error.errors())
        raise SchemeError(f"scheme {where} is not valid: {faults}") from error


def _fault_text(fault: Mapping[str, Any]) -> str:
    """Return a fault of a scheme's file with its place and, where it is a single value, that value."""
    place, value = ".".join(map(str, fault["loc"])), fault["input"]
    shown = f"={value!r}" if isinstance(value, str | int | float) and fault["type"] != "extra_forbidden" else ""
    return ": ".join([*filter(None, [place + shown]), fault["msg"].removeprefix("Value error, ")])
