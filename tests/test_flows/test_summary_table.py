"""The table of a summary: what has a row, how it is written, what is left to the JSON."""

import pytest

from flows.cli.options import build_parser
from flows.cli.summary_table import MOST_ROWS, show, summary_rows


def test_scalars_counts_intervals_and_parts_have_rows_and_long_things_are_named() -> None:
    summary = {
        "dataset": "sky",
        "stored": 57,
        "rejected": {},
        "classes": {"E": 20, "S": 37},
        "images": {},
        "scheme": None,
        "finished": True,
        "seconds": 12.34567,
        "test": {"count": 6, "accuracy": 0.51234, "accuracy_low": 0.2, "accuracy_high": 0.8, "recall": {"E": 0.5}},
        "missing": {f"column{number}": 0 for number in range(9)},
        "understood": {"id": "OBJID"},
        "seeds": [0, 1],
        "ignored": ["a long name of a column"] * 9,
    }
    assert summary_rows(summary) == [
        ("dataset", "sky"),
        ("stored", "57"),
        ("rejected", "none"),
        ("classes", "E 20, S 37"),
        ("finished", "yes"),
        ("seconds", "12.35"),
        ("test: count", "6"),
        ("test: accuracy", "0.5123 (0.2 to 0.8)"),
        ("seeds", "0, 1"),
        ("also", "test: recall, missing, understood, ignored: in the JSON on stdout"),
    ]


def test_a_table_stays_short() -> None:
    rows = summary_rows({f"n{number}": number for number in range(100)})
    assert len(rows) == MOST_ROWS + 1
    assert "n99" in rows[-1][1]


def test_in_a_file_a_row_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show("verify", {"dataset": "sky@1", "path": "a/" * 70})
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == f"verify:\ndataset  sky@1\npath     {'a/' * 70}\n"


@pytest.mark.parametrize("command", [["run", "verify"], ["verify", "sky"], ["demo"]])
def test_what_runs_flows_takes_the_options_of_output(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = build_parser(with_sky=False).parse_args([*command, "--verbose", "--json"])
    assert (options.verbose, options.quiet, options.as_json) == (True, False, True)
    with pytest.raises(SystemExit):
        build_parser(with_sky=False).parse_args([*command, "--verbose", "--quiet"])
    assert "not allowed with" in capsys.readouterr().err
