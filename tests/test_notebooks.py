"""The notebooks of the guide: each cell is introduced, none holds an output, all run where `starloom demo` has run."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tests.small_demo import make_demo

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))


def each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8"))["cells"])


@each()
def test_a_sentence_stands_before_each_cell_and_no_output_after_it(path: Path) -> None:
    cells = cells_of(path)
    kinds = [cell["cell_type"] for cell in cells]
    assert set(kinds) == {"markdown", "code"}
    assert [place for place, kind in enumerate(kinds) if kind == "code" and kinds[place - 1] == "code"] == []
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a workspace like that of the demo."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT_NAME, str(folder / "workspace"))
        make_demo(Workspace.current(), folder / "models")
    return folder


@each()
def test_a_notebook_runs(path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    monkeypatch.chdir(demo)
    monkeypatch.delenv(ENVIRONMENT_NAME, raising=False)
    names: dict[str, Any] = {}
    try:
        for cell in cells_of(path):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{path.name}, {cell['id']}", "exec"), names)
        assert pyplot.get_fignums()
    finally:
        pyplot.close("all")
