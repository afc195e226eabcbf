"""Images to classify: every file is a row, whatever the blocks, and no bad one stops the rest."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.predictions import prediction_sources
from tasks.predictions.prediction_sources import ArchiveImages, DatasetImages, PredictionError, block_rows
from tasks.runtime.workspace import Workspace
from tests.image_bytes import encoded, noise, png
from tests.small_galaxies import SIZE, publish_galaxies

PICTURE = noise((40, 60, 3))
ALPHA = np.dstack([PICTURE, np.full((40, 60), 128, np.uint8)])
FILES = {
    "alpha.png": (encoded(ALPHA), None),
    "animated.gif": (
        encoded(Image.fromarray(PICTURE), "GIF", save_all=True, append_images=[Image.fromarray(255 - PICTURE)]),
        None,
    ),
    "cmyk.jpg": (encoded(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"), None),
    "cut.jpg": (encoded(PICTURE, "JPEG")[:900], "truncated"),
    "deep/16bit.png": (png(noise((40, 60, 3), "uint16"), 2), None),
    "empty.png": (b"", "empty"),
    "huge.png": (encoded(Image.new("1", (20_000, 20_000))), "too_many_pixels"),
    "one.png": (encoded(noise((1, 1, 3))), "blank"),
    "readme.txt": (b"about", "unsupported_format:txt"),
}
CONVERTED = {"alpha": "transparency", "animated": "frames", "cmyk": "colour_model_cmyk", "16bit": "bit_depth_16"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive") / "images"
    for name, (content, _) in {**FILES, ".DS_Store": (b"x", None)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for name in FILES:
            archive.write(folder / name, name)
    return folder


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_bad_file_is_a_row_with_its_reason_and_the_others_have_pixels(folder: Path, suffix: str) -> None:
    source = ArchiveImages(folder.with_suffix(suffix), SIZE, 1.0)
    (block,) = source.blocks()
    assert source.count == len(block.ids) == len(FILES)
    files = block.facts["file"].to_pylist()
    assert files == sorted(FILES)
    assert block.reasons == [FILES[name][1] for name in files]
    assert block.images.shape == (block.reasons.count(None), SIZE, SIZE, 3)
    converted = dict(zip(block.ids, block.facts["conversions"].to_pylist(), strict=True))
    assert {name: text for name, text in converted.items() if text} == CONVERTED
    sizes = block.facts["image_px"].to_pylist()
    assert sizes == [40.0 if reason is None else None for reason in block.reasons]


def test_blocks_from_any_number_on_hold_the_same_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ArchiveImages(folder, SIZE, 1.0)
    (whole,) = source.blocks()
    identity = source.identity
    monkeypatch.setattr(prediction_sources, "block_rows", lambda _: 4)
    later = list(source.blocks(1))
    assert [name for block in later for name in block.ids] == whole.ids[4:]
    np.testing.assert_array_equal(
        np.concatenate([block.images for block in later]), whole.images[whole.reasons[:4].count(None) :]
    )
    assert list(source.blocks(9)) == []
    assert source.identity != identity, "other blocks are other part files"


def test_files_of_one_stem_are_known_by_their_paths(tmp_path: Path) -> None:
    for name in ("a/7.png", "b/7.png", "b/8.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(PICTURE))
    assert ArchiveImages(tmp_path, SIZE, 1.0).ids == ["a/7.png", "b/7.png", "8"]


def test_an_image_is_cut_as_those_of_the_training_were(tmp_path: Path) -> None:
    framed = np.full((64, 64, 3), 200, np.uint8)
    framed[16:48, 16:48] = noise((32, 32, 3), high=90)
    (tmp_path / "g.png").write_bytes(encoded(framed))
    (whole,), (inner,) = (list(ArchiveImages(tmp_path, SIZE, crop).blocks()) for crop in (1.0, 0.5))
    assert whole.images.max() == 200
    assert inner.images.max() < 90


def test_what_is_no_folder_of_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"images=.*absent does not exist"):
        _ = ArchiveImages(tmp_path / "absent", SIZE, 1.0).count
    (tmp_path / "a.txt").write_text("no image", encoding="utf-8")
    with pytest.raises(PredictionError, match=r"holds no .*it holds: 1 \.txt"):
        _ = ArchiveImages(tmp_path, SIZE, 1.0).count


def test_the_samples_of_a_dataset_come_by_row_with_what_the_ledger_knows(
    tracked_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = publish_galaxies(tracked_workspace, "sourced", count=50)
    monkeypatch.setattr(prediction_sources, "block_rows", lambda _: 16)
    blocks = list(DatasetImages(dataset, SIZE).blocks())
    assert [len(block.ids) for block in blocks] == [16, 16, 16, 2]
    ledger = dataset.samples().sort_by("row")
    assert [name for block in blocks for name in block.ids] == ledger["id"].to_pylist()
    facts = [row for block in blocks for row in block.facts.to_pylist()]
    for name in ("ra_deg", "redshift", "group", "pixel_sha256"):
        assert [row[name] for row in facts] == ledger[name].to_pylist()
    np.testing.assert_array_equal(np.concatenate([block.images for block in blocks]), dataset.pixels[:50])
    (last,) = DatasetImages(dataset, SIZE).blocks(3)
    assert last.ids == blocks[3].ids
    with pytest.raises(PredictionError, match=r"images of shape \(16, 16, 3\), the model takes \(32, 32, 3\)"):
        DatasetImages(dataset, 32)


def test_a_block_holds_whole_steps_of_a_model_and_little_memory() -> None:
    assert [block_rows(size) for size in (16, 128, 424, 4000)] == [512, 320, 64, 64]
    assert all(block_rows(size) * 3 * size**2 <= 16 * 1024**2 for size in (16, 128, 224))
