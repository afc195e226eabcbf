"""The flows' parameters and choices as a file, from which the shell completes words: importing a flow takes seconds.

`python -m flows.cli.flow_reference` writes the file anew after a change of a flow or a parameter type.
"""

import json
from pathlib import Path

from flows.cli.flow_catalogue import flow_names, load_flow

PATH = Path(__file__).with_name("completions.json")
LABEL = "label"
"""Name of the labelling page's entry, whose parameters are those of `starloom label`."""

Table = dict[str, dict[str, list[str]]]
"""Command or flow -> parameter -> choices; empty for a parameter that takes other values too."""


def make_table() -> Table:
    """Return the table of all flows and of `starloom label`; it imports them."""
    from flows.cli.label import open_page
    from flows.cli.parameters import choices_of, parameters_of

    functions = {name: load_flow(name).fn for name in flow_names()} | {LABEL: open_page}
    return {
        name: {key: choices_of(parameter.annotation) for key, parameter in parameters_of(function).items()}
        for name, function in functions.items()
    }


def written_table(table: Table) -> str:
    """Return the text of the file, one line a flow."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(parameters)}" for name, parameters in sorted(table.items()))
    return f"{{\n{lines}\n}}\n"


def read_table() -> Table:
    """Return the table of the file."""
    return json.loads(PATH.read_text(encoding="utf-8"))
