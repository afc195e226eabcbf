"""Kinds of known objects by the types of TNS, VSX, SIMBAD, Fink and SkyBoT, and by their names."""

import pytest

from realbogus.sources.object_kinds import (
    KNOWN_ASTEROID,
    KNOWN_TRANSIENT,
    KNOWN_VARIABLE,
    is_asteroid_name,
    is_transient_name,
    kind_of,
)

KINDS = {
    KNOWN_TRANSIENT: ("SN II", "SN Ia-91bg-like", "TDE", "Nova", "Kilonova", None, "", "Galaxy", "unheard of", "SN*"),
    KNOWN_ASTEROID: ("Asteroid", "minor planet", "Solar System MPC", "MB>Middle", "NEA>Apollo", "Comet", "SSO"),
    KNOWN_VARIABLE: (
        *("VAR", "CV", "AGN", "QSO", "RRLyr", "RRAB", "EA/SD", "SRB:", "UGSU+E", "EB*", "CV*", "M dwarf", "BLLAC"),
        *("Varstar", "LPV", "DSCT", "YSO"),
    ),
}


@pytest.mark.parametrize(("word", "kind"), [(word, kind) for kind, words in KINDS.items() for word in words])
def test_words_of_types(word: str | None, kind: str) -> None:
    assert kind_of(word) == kind


def test_a_table_s_own_kind_holds_for_unknown_types_alone() -> None:
    assert [kind_of(word, KNOWN_VARIABLE) for word in ("M", "E", None)] == [KNOWN_VARIABLE] * 3
    assert kind_of("SN Ia", KNOWN_VARIABLE) == KNOWN_TRANSIENT


@pytest.mark.parametrize(
    ("name", "is_asteroid"),
    [
        *(
            (name, True)
            for name in ("2024 AB", "1999 XY123", "(12345) 2001 AB1", "(1) Ceres", "2040 P-L", "1I/Oumuamua")
        ),
        *((name, True) for name in ("C/2020 F3 (NEOWISE)", "P/2010 A2", "73P/Schwassmann-Wachmann", "K10A02A")),
        *((name, False) for name in ("2024abc", "AT 2024abc", "SN2011fe", "V404 Cyg", "433", "M31N 2008-12a", None)),
    ],
)
def test_names_of_asteroids(name: str | None, is_asteroid: bool) -> None:
    assert is_asteroid_name(name) == is_asteroid


def test_names_of_transients() -> None:
    assert [is_transient_name(name) for name in ("AT2024abc", "SN 2011fe", "2024abc", None)] == [
        True,
        True,
        False,
        False,
    ]
