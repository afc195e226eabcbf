"""The README and the pages of docs/: every block is what it claims to be, names exist, pages need no network."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from flows.build_galaxy_dataset import build_galaxy_dataset
from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.cli.flow_catalogue import flow_names, load_flow
from flows.cli.options import build_parser
from flows.cli.parameters import read_parameters
from flows.ingest_catalog import ingest_catalog
from galaxy.catalogue.columns import COLUMNS, VOTE_MEASURES
from galaxy.catalogue.official_files import OFFICIAL_TABLES
from galaxy.labels.labelling import label_rows
from galaxy.labels.schemes import CUT_QUANTITIES, SHIPPED, load_scheme
from realbogus.epochs import TIME_KEYWORDS
from realbogus.row_tables import ROLE_NAMES as RECORD_ROLES
from realbogus.sources.frame_keywords import FrameKeywords
from realbogus.sources.pair_tables import read_pairs
from tasks.ingest.catalogue import ingest
from tasks.ingest.table_rows import CATALOGUE_ROLES
from tasks.records.known_tables import ROLE_NAMES as KNOWN_ROLES
from tasks.tables.roles import ROLES

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
LANGUAGES = {"sh", "python", "toml", "json", "csv", "text", "mermaid"}
MOST_README_LINES = 150
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)```\s*$", re.M | re.S)
_VOTES = re.compile(r"^t\d\d_")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found["language"], found["text"])


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def blocks(language: str, page: str = "") -> list[Block]:
    return [block for block in BLOCKS if block.language == language and str(block.page).endswith(page)]


def each(language: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", blocks(language), ids=str)


def test_every_block_has_a_known_language() -> None:
    assert [str(block) for block in BLOCKS if block.language not in LANGUAGES] == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_README_LINES


def test_links_of_the_readme_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command, without the variables set before it."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            yield words


@each("sh")
def test_commands_exist_and_take_these_values(block: Block) -> None:
    for words in commands(block.text):
        CHECKS[words[0]](words[1:])


def check_starloom(words: list[str]) -> None:
    options = build_parser(with_sky="serve-sky" in words).parse_args(words)
    if "flow" in options:
        assert options.flow in flow_names()
        read_parameters(load_flow(options.flow).fn, options.pairs)


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert {word for word in words if "=" not in word} <= set(targets)


def check_python(words: list[str]) -> None:
    module, *names = words[1:]
    if module == "tests.benchmarks":
        assert [name for name in names if not (ROOT / f"tests/benchmarks/bench_{name}.py").is_file()] == []
    elif module != "pytest":
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    else:
        assert [name for name in names if not name.startswith("-") and not (ROOT / name).exists()] == []


def check_prefect(words: list[str]) -> None:
    assert words[:2] == ["deployment", "run"]
    assert words[2] in {one["name"] for one in deployments()}


CHECKS = {"starloom": check_starloom, "make": check_make, "python": check_python, "prefect": check_prefect}


def deployments() -> list[dict]:
    return yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]


@each("toml")
def test_schemes_load(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "scheme.toml"
    path.write_text(block.text, encoding="utf-8")
    assert load_scheme(str(path)).classes


@each("json")
def test_json_parses(block: Block) -> None:
    json.loads(block.text)


def test_the_own_labels_page_labels_its_own_table(tmp_path: Path) -> None:
    table, scheme = tmp_path / "my_labels.csv", tmp_path / "bars.toml"
    table.write_text(blocks("csv", "own-labels.md")[0].text, encoding="utf-8")
    scheme.write_text(blocks("toml", "own-labels.md")[0].text, encoding="utf-8")
    report = ingest([table], None, tmp_path / "labels.parquet")
    rows = label_rows(load_scheme(str(scheme)), pq.read_table(report.path))
    assert report.rejected == {}
    assert set(rows["label"].drop_null().to_pylist()) == {"barred", "unbarred"}
    assert set(rows["excluded"].drop_null().to_pylist()) == {"no_disc"}


def test_the_own_frames_page_has_a_table_of_pairs(tmp_path: Path) -> None:
    table = blocks("csv", "own-frames.md")[0].text
    (tmp_path / "pairs.csv").write_text(table, encoding="utf-8")
    for name in re.findall(r"[\w-]+\.fits", table):
        (tmp_path / name).touch()
    assert [pair.visit for pair in read_pairs(tmp_path)] == [0, 1]


@pytest.fixture(scope="module")
def small_workspace(tmp_path_factory: pytest.TempPathFactory, prefect_api: str) -> Path:
    """A folder with the datasets and catalogues that the pages' Python reads, small."""
    folder = tmp_path_factory.mktemp("docs")
    images, table = write_galaxies(folder / "images", 24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STARLOOM_WORKSPACE", str(folder / "workspace"))
        build_galaxy_dataset(dataset="sky", source="archive", images=str(images), catalog=str(table), size_px=32)
        build_realbogus_dataset(dataset="transients", source="triplets", path=str(write_triplets(folder / "triplets")))
        for name in set(re.findall(r"workspace/catalogs/([\w-]+)\.parquet", "".join(b.text for b in blocks("python")))):
            ingest_catalog(name=name)
    return folder


def write_galaxies(folder: Path, count: int) -> tuple[Path, Path]:
    """Write noise as images, and a table of their Galaxy Zoo 2 classes."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(1, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"g{number:02d}.png")
    lines = [f"g{number:02d},{('Er', 'Sb', 'SBc2m')[number % 3]}" for number in range(count)]
    table = folder.with_suffix(".csv")
    table.write_text("\n".join(["objid,gz2_class", *lines, ""]), encoding="utf-8")
    return folder, table


def write_triplets(folder: Path) -> Path:
    """Write noise as triplets, half of them labelled real."""
    folder.mkdir()
    np.save(folder / "stamps.npy", np.random.default_rng(0).normal(size=(24, 29, 29, 3)).astype(np.float32))
    lines = [f"c{number:02d},{number % 2}" for number in range(24)]
    (folder / "table.csv").write_text("\n".join(["id,label", *lines, ""]), encoding="utf-8")
    return folder


# The page of the object store is run by the test of a build on one.
PYTHON = {
    page: [block.text for block in same]
    for page, same in groupby(blocks("python"), key=lambda block: block.page)
    if page.name != "object-store.md"
}


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_runs(page: Path, small_workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small_workspace)
    names: dict = {}
    for text in PYTHON[page]:
        exec(compile(text, str(page), "exec"), names)


def test_the_diagram_is_that_of_the_readme() -> None:
    (block,) = blocks("mermaid")
    assert block.page == README
    assert block.text == (ROOT / "docs/assets/chain.mmd").read_text(encoding="utf-8")
    drawn = re.sub(r"<[^>]+>", "", (ROOT / "docs/assets/chain.svg").read_text(encoding="utf-8"))
    drawn = re.sub(r"\s", "", drawn)
    labels = re.findall(r"\[\(?([^\])]+)\)?\]", block.text)
    assert [label for label in labels if re.sub(r"<br/>|\s", "", label) not in drawn] == []


def test_every_flow_has_its_summary_described() -> None:
    text = (ROOT / "docs/reference/summaries.md").read_text(encoding="utf-8")
    assert [one["name"] for one in deployments() if not re.search(rf"(^## |`){one['name']}\b", text, re.M)] == []


def test_every_accepted_name_is_listed() -> None:
    text = (ROOT / "docs/reference/names.md").read_text(encoding="utf-8")
    columns = [name for column in COLUMNS for name in (column.name, *column.aliases) if not _VOTES.match(name)]
    keywords = [word for value in FrameKeywords().model_dump().values() if isinstance(value, tuple) for word in value]
    known = [*columns, *VOTE_MEASURES, *keywords, *TIME_KEYWORDS, *OFFICIAL_TABLES]
    assert [name for name in known if f"`{name}`" not in text] == []


def test_the_synonyms_of_a_galaxy_table_s_roles_are_those_that_are_read() -> None:
    text = (ROOT / "docs/reference/names.md").read_text(encoding="utf-8")
    section = text.split("### Names of columns")[1].split("###")[0]
    rows = re.findall(r"^\| `(\w+)` \| (`.*`) \|$", section, re.M)
    assert {role: tuple(re.findall(r"`([^`]+)`", names)) for role, names in rows} == {
        role: ROLES[role].names for role in CATALOGUE_ROLES
    }


@pytest.mark.parametrize(
    ("section", "roles"),
    [
        ("## Triplets", {role: "candidate_id" if role == "id" else role for role in RECORD_ROLES}),
        ("## Known objects", {role: role for role in KNOWN_ROLES}),
    ],
)
def test_the_synonyms_of_candidates_are_those_that_are_read(section: str, roles: dict[str, str]) -> None:
    text = (ROOT / "docs/reference/names.md").read_text(encoding="utf-8").split(section)[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.M))
    listed = {role: tuple(re.findall(r"`([^`]+)`", rows[role])) for role in roles}
    expected = {role: () if role in ("ra", "dec") else ROLES[entry].names for role, entry in roles.items()}
    assert listed == expected


def test_every_scheme_and_cut_is_listed() -> None:
    galaxies, labels = (
        (ROOT / "docs/guide" / name).read_text(encoding="utf-8") for name in ("galaxies.md", "own-labels.md")
    )
    assert [name for name in SHIPPED if f"`{name}`" not in galaxies] == []
    assert [name for name in CUT_QUANTITIES if f"`{name}`" not in labels] == []


def test_pages_build_and_ask_no_other_host(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, check=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    loaded = re.compile(r"<(?:script|img|iframe|source)[^>]+src=\"?https?:|<link[^>]+rel=\"?stylesheet[^>]+https?:")
    assert [page for page in tmp_path.rglob("*.html") if loaded.search(page.read_text(encoding="utf-8"))] == []
