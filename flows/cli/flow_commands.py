"""The subcommands that run flows: `run`, `demo`, `verify`."""

import argparse
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TextIO

from flows.cli.actions import perform, require_usable, shown, shows_table, verbosity_of
from flows.cli.exit_status import ExitStatus, UsageError
from tasks.runtime.verbosity import Verbosity
from tasks.runtime.workspace import Workspace

DEMO = (
    ("galaxy-end-to-end", "dataset=demo", "scheme=deck-3", "limit=1000", "preset=tuned"),
    ("build-realbogus-dataset", "dataset=demo-transients", "chips=8", "visits=3"),
    ("train-realbogus", "dataset=demo-transients", "network=first"),
    ("train-realbogus", "dataset=demo-transients"),
    ("make-night", "dataset=demo-transients", "count=20000"),
)


def demo(options: argparse.Namespace) -> ExitStatus:
    """Run both pipelines on small simulated data, then print a report."""
    amount = verbosity_of(options)

    def work(output: TextIO) -> dict[str, Any]:
        from tasks.server.process_guard import guard_children

        with guard_children():
            galaxies, *candidates = (run_flow(name, parameters, amount) for name, *parameters in DEMO)
            build, first, train, night = candidates
            scores = run_flow("score-night", [f"path={night['path']}"], amount)
        realbogus = {"build": build, "first": first, "train": train, "night": night, "score": scores}
        if shows_table(options):
            import_module("flows.cli.demo_report").show(galaxies, realbogus, Workspace.current())
        return {**galaxies, "realbogus": realbogus}

    return perform(work)


def run(options: argparse.Namespace) -> ExitStatus:
    """Run a flow, or show its help."""
    from flows.cli.flow_catalogue import list_text, parameters_text

    def show_help(output: TextIO) -> None:
        text = parameters_text(options.flow) if options.flow else f"{options.usage()}\n{list_text()}"
        print(text, file=output, flush=True)

    def work(output: TextIO) -> Any:
        if options.flow is None:
            raise UsageError(f"run which flow?\n{list_text()}")
        return _run_and_show(options.flow, options.pairs, options)

    return perform(show_help if options.wants_help else work)


def verify(options: argparse.Namespace) -> ExitStatus:
    """Compare every byte of a dataset with its digests."""
    return perform(lambda output: _run_and_show("verify", [f"dataset={options.dataset}"], options))


def _run_and_show(name: str, pairs: Sequence[str], options: argparse.Namespace) -> Any:
    """Run a flow, write its summary as a table to stderr, and return it."""
    return shown(name, lambda: run_flow(name, pairs, verbosity_of(options)), options)


def run_flow(name: str, pairs: Sequence[str], verbosity: Verbosity = Verbosity.USUAL) -> Any:
    """Run the flow ``name`` with the parameters ``pairs`` and return its summary.

    Unknown names are refused from the flow's source before anything is started or imported; then the server starts
    while the flow is imported.
    """
    from flows.cli.flow_catalogue import argument_names, load_flow
    from flows.cli.parameters import read_parameters, require_known, split_pair
    from tasks.runtime.logs import show_on_terminal
    from tasks.server.prefect_server import begin_server
    from tasks.server.process_guard import guard_children
    from tasks.tracking.tracking_store import require_tracking_server

    require_known([split_pair(pair)[0] for pair in pairs], argument_names(name))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's messages about the CPU
    workspace = Workspace.current()
    require_usable(workspace)
    require_tracking_server()
    server = begin_server(workspace)
    with guard_children():
        show_on_terminal(verbosity)
        flow = load_flow(name)
        parameters = read_parameters(flow.fn, pairs)
        server.wait()
        from tasks.server.flow_runs import run_here

        return run_here(workspace, flow, parameters)
