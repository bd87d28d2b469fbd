"""Adversarial samples and their originals in one stream."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from PIL import Image

from asam_datasets.demo import DemoArchive
from asam_datasets.errors import SourceError, StreamError
from asam_datasets.training import Filter, SamOptions, open_mixture, open_stream, sam_batch


@pytest.fixture(scope="module")
def dataset(
    demo: DemoArchive, members: dict[str, bytes], publish: Run, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The demo with samples of three of its images, squeezed to a square as ASAM's generator does."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("adv", "record", "pair"):
        (folder / "samples" / name).mkdir(parents=True)
    for number in (1, 2, 5):
        with Image.open(io.BytesIO(members[f"sa_{number}.jpg"])) as image:
            image.resize((128, 128)).save(folder / f"samples/adv/sa_{number}.png")
        (folder / f"samples/record/sa_{number}.txt").write_text(f"0.{number}5\n")
    out = folder / "dataset"
    sources = ("--train", demo.archive, "--captions", demo.captions, "--adversarial", folder / "samples")
    done = publish(*sources, "--out", out)
    assert done.code == 0, done.err
    return out


def test_each_sample_has_its_original(dataset: Path) -> None:
    originals = {record["image_id"]: record for record in open_stream(dataset, "sam")}
    alone = {record["image_id"]: record for record in open_stream(dataset, "adversarial")}
    for _ in range(2):
        stream = open_stream(dataset, "adversarial", pairs=True, seed=1)
        pairs = {record["image_id"]: record for record in stream}
        assert set(pairs) == set(alone) == {1, 2, 5}
        for image_id, record in pairs.items():
            original = record.pop("original")
            assert record == alone[image_id]
            expected = dict(originals[image_id])
            del expected["epoch"]
            assert original == expected
            assert list(original) == list(expected)


def test_pairs_and_a_filter_and_a_pad(dataset: Path) -> None:
    where = Filter(image_ids=[2, 5])
    found: list[dict[str, Any]] = []
    for rank in range(4):
        found += open_stream(dataset, "adversarial", pairs=True, where=where, rank=rank, world_size=4, ends="pad")
    assert sorted(record["padding"] for record in found) == [False, False, True, True]
    for record in found:
        assert record["original"]["image_id"] == record["image_id"] in (2, 5)
        assert record["original"]["image"]["bytes"]


def test_originals_that_are_not_there(
    dataset: Path, demo: DemoArchive, publish: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StreamError, match=r"pairs.*expected the config adversarial, found sam"):
        open_stream(dataset, "sam", pairs=True)
    with caplog.at_level(logging.WARNING, "asam_datasets.training"):
        stream = open_stream(dataset, "adversarial", pairs=True, where=Filter(image_ids=[1]))
    assert len(stream) == 1
    assert not caplog.records
    with pytest.raises(SourceError, match="expected records that pass the filter, found none"):
        open_stream(dataset, "adversarial", pairs=True, where=Filter(image_ids=[3]))


def test_originals_and_samples_are_one_batch(dataset: Path) -> None:
    """As ASAM trains: on both at once; and `sam_batch` says of which stream a record is."""
    mixture = open_mixture([(open_stream(dataset, "sam"), 0.5), (open_stream(dataset, "adversarial"), 0.5)])
    records = list(mixture)
    assert [record["stream"] for record in records] in ([0, 1] * 3, [0, 1] * 3 + [0], [1, 0] * 3, [1, 0] * 3 + [1])
    batch = sam_batch(records, SamOptions(size=64, points=0))
    assert batch["stream"].tolist() == [record["stream"] for record in records]
    assert "stream" not in sam_batch(list(open_stream(dataset, "sam")), SamOptions(size=64, points=0))
