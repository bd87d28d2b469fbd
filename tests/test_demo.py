"""The demo archive is what every other test reads, so it is checked against pycocotools and dense arrays."""

import io
import json
import math
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pycocotools import mask as coco

from asam_datasets.demo import DemoArchive, draw_record, write_demo
from asam_datasets.errors import TargetError

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

Mask = npt.NDArray[np.bool_]
FIELDS = [
    "bbox", "area", "segmentation", "predicted_iou", "point_coords", "crop_box", "id", "stability_score",
]  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return write_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def records(demo: DemoArchive) -> dict[str, tuple[bytes, dict[str, Any]]]:
    """From `sa_1` to its JPEG and its parsed JSON."""
    with tarfile.open(demo.archive) as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    stems = [Path(name).stem for name in content if name.endswith(".jpg")]
    return {stem: (content[f"./{stem}.jpg"], json.loads(content[f"./{stem}.json"])) for stem in stems}


def decoded(record: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Mask]]:
    for annotation in record["annotations"]:
        yield annotation, coco.decode(annotation["segmentation"]).astype(bool)


@pytest.fixture(scope="module")
def masks(records: dict[str, tuple[bytes, dict[str, Any]]]) -> list[Mask]:
    return [mask for _, record in records.values() for _, mask in decoded(record)]


def is_in_pieces(mask: Mask) -> bool:
    """True if an empty row or column parts the mask: enough to tell, not necessary."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return bool(np.ptp(rows) >= rows.size or np.ptp(columns) >= columns.size)


def has_hole(mask: Mask) -> bool:
    """True if background cannot be reached from the border, by steps to the four neighbours."""
    ground = np.pad(~mask, 1, constant_values=True)
    seen = np.zeros_like(ground)
    seen[0, 0] = True
    while True:
        grown = seen.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                grown |= np.roll(grown, step, axis)
        grown &= ground
        if (grown == seen).all():
            return bool((ground & ~seen).any())
        seen = grown


def check_record(jpeg: bytes, record: dict[str, Any]) -> None:
    width, height = record["image"]["width"], record["image"]["height"]
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (width, height))
    for annotation, mask in decoded(record):
        assert list(annotation) == FIELDS
        assert list(annotation["segmentation"]) == ["size", "counts"]
        assert annotation["segmentation"]["size"] == [height, width] == list(mask.shape)
        rows, columns = np.nonzero(mask)
        x, y, w, h = annotation["bbox"]
        assert [x, y, x + w, y + h] == [columns.min(), rows.min(), columns.max(), rows.max()]
        exclusive = coco.toBbox(annotation["segmentation"])
        assert [w, h] == [exclusive[2] - 1, exclusive[3] - 1]
        assert annotation["area"] == coco.area(annotation["segmentation"]) == mask.sum()
        recoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert recoded["counts"] == annotation["segmentation"]["counts"].encode()
        ((px, py),) = annotation["point_coords"]
        assert (px * 4).is_integer()
        assert (py * 4).is_integer()
        assert mask[math.floor(py), math.floor(px)]
        left, top, wide, tall = annotation["crop_box"]
        assert 0 <= left <= x <= x + w < left + wide <= width
        assert 0 <= top <= y <= y + h < top + tall <= height
        assert 0.88 <= annotation["predicted_iou"] <= 1
        assert 0.92 <= annotation["stability_score"] <= 1
        numbers = [*annotation["bbox"], px, py, *annotation["crop_box"], annotation["predicted_iou"]]
        assert all(isinstance(number, float) for number in numbers)
        assert type(annotation["area"]) is type(annotation["id"]) is int


def test_every_record_keeps_the_conventions(records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
    for stem, (jpeg, record) in records.items():
        assert list(record) == ["image", "annotations"]
        assert list(record["image"]) == ["image_id", "width", "height", "file_name"]
        assert record["image"]["file_name"] == f"{stem}.jpg"
        assert record["image"]["image_id"] == int(stem.removeprefix("sa_"))
        check_record(jpeg, record)


def test_the_files_and_counts_are_those_reported(
    demo: DemoArchive, records: dict[str, tuple[bytes, dict[str, Any]]]
) -> None:
    assert demo.archive.name == "sa_000000.tar"
    assert demo.captions.name == "sa_000000-blip2-caption.json"
    assert sorted(path.name for path in demo.archive.parent.iterdir()) == [
        demo.captions.name,
        demo.archive.name,
    ]
    assert len(records) == demo.images == 12
    ids = [annotation["id"] for _, record in records.values() for annotation in record["annotations"]]
    assert len(set(ids)) == len(ids) == demo.annotations
    assert 1_000_000 < demo.archive.stat().st_size < 2_000_000


def test_members_are_pairs_with_nothing_of_the_machine(demo: DemoArchive) -> None:
    with tarfile.open(demo.archive) as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == [f"./sa_{i}{end}" for i in range(1, 13) for end in (".jpg", ".json")]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, "", "", 0o644)}
    assert len({m.mtime for m in members}) == 1


def test_each_image_has_a_caption_of_its_own(demo: DemoArchive) -> None:
    lines = [json.loads(line) for line in demo.captions.read_text(encoding="utf-8").splitlines()]
    assert [line["img"] for line in lines] == [f"sa_{i}.jpg" for i in range(1, 13)]
    assert all(list(line) == ["img", "prompt"] for line in lines)
    assert all(line["prompt"].startswith("a photo of ") for line in lines)
    assert len({line["prompt"] for line in lines}) == 12


def test_captions_stay_different_when_scenes_come_round_again(tmp_path: Path) -> None:
    made = write_demo(tmp_path, images=30, height=200, width=240)
    lines = made.captions.read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["prompt"] for line in lines}) == len(lines) == 30


def test_hard_masks_are_there(masks: list[Mask]) -> None:
    assert any(mask.sum() == 1 for mask in masks)
    assert any(mask.all() for mask in masks)
    assert any(is_in_pieces(mask) for mask in masks)
    assert any(
        mask[0].all() and mask[-1].all() and mask[:, 0].all() and mask[:, -1].all() and not mask.all() for mask in masks
    )


def test_a_ring_is_there(records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
    assert any(has_hole(mask) for _, mask in decoded(records["sa_1"][1]) if mask.mean() < 0.02)


def test_masks_overlap(records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
    for stem in ("sa_1", "sa_3", "sa_5"):
        depth = sum(mask.astype(int) for _, mask in decoded(records[stem][1]))
        assert np.max(depth) > 1, stem


def test_many_and_none_come_early(records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
    counts = [len(record["annotations"]) for _, record in records.values()]
    assert 300 in counts[:6]
    assert 0 in counts[:6]


def test_sizes_vary(records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
    sizes = {(record["image"]["height"], record["image"]["width"]) for _, record in records.values()}
    assert any(height > width for height, width in sizes)
    assert any(height < width for height, width in sizes)
    assert any(height % 8 and width % 8 for height, width in sizes)


def test_masks_lie_on_what_is_drawn(records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
    """The image changes more across outlines than elsewhere: moved masks would not show that."""
    jpeg, record = records["sa_1"]
    grey = np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"), np.int16)
    change = np.abs(np.diff(grey, axis=1))
    outlines = np.zeros(change.shape, bool)
    for _, mask in decoded(record):
        outlines |= mask[:, 1:] != mask[:, :-1]
    assert change[outlines].mean() > 2 * change[~outlines].mean()
    assert change[outlines].mean() > 1.5 * change[np.roll(outlines, 15, 1)].mean()


def test_same_arguments_same_bytes(demo: DemoArchive, tmp_path: Path) -> None:
    again = write_demo(tmp_path / "made" / "here")
    assert again.archive.read_bytes() == demo.archive.read_bytes()
    assert again.captions.read_bytes() == demo.captions.read_bytes()
    first = write_demo(tmp_path, archive="sa_000007", images=1, first_id=70)
    other = write_demo(tmp_path, archive="sa_000008", images=1, first_id=70, seed=1)
    assert first.archive.read_bytes() != other.archive.read_bytes()
    with tarfile.open(first.archive) as tar:
        assert tar.getnames() == ["./sa_70.jpg", "./sa_70.json"]


def test_a_failure_leaves_the_old_files(tmp_path: Path) -> None:
    made = write_demo(tmp_path, images=1, height=192, width=192)
    before = made.archive.read_bytes()
    made.captions.unlink()
    made.captions.mkdir()
    (made.captions / "in the way").touch()
    with pytest.raises(TargetError, match="caption"):
        write_demo(tmp_path, images=1, height=192, width=192)
    assert made.archive.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [made.captions, made.archive]


@pytest.mark.parametrize("name", ["sa_000000.tar", "sa_000000-blip2-caption.json"])
def test_what_is_there_stays(tmp_path: Path, name: str) -> None:
    """The first archive of SA-1B has the name of the demo."""
    (tmp_path / name).write_bytes(b"eleven gigabytes")
    with pytest.raises(TargetError, match=f"{name}: expected nothing there, or the demo itself, found something else"):
        write_demo(tmp_path, images=1, height=192, width=192)
    assert (tmp_path / name).read_bytes() == b"eleven gigabytes"
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": 0}, "expected images of at least 1, found 0"),
        ({"height": 100}, "height and width of at least 192, found 100"),
        ({"seed": -3}, "seed of at least 0, found -3"),
        ({"archive": "../sa_000000"}, r"plain name such as sa_000000, found '../sa_000000'"),
        ({"archive": ""}, "found ''"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_demo(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("masks", [0, 1, 7, 64])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (211, 97)])
def test_draw_record_has_the_masks_asked_for(height: int, width: int, masks: int) -> None:
    jpeg, table = draw_record(9, height=height, width=width, masks=masks, seed=4)
    record = json.loads(table)
    check_record(jpeg, record)
    assert len(record["annotations"]) == masks
    assert draw_record(9, height=height, width=width, masks=masks, seed=4) == (jpeg, table)


def test_draw_record_refuses_more_masks_than_fit() -> None:
    with pytest.raises(ValueError, match="expected masks of 0 to 64, found 65"):
        draw_record(1, height=64, width=64, masks=65, seed=0)


def test_draw_record_has_the_weight_of_a_real_record() -> None:
    jpeg, table = draw_record(1, height=1500, width=2250, masks=100, seed=0)
    lengths = [len(a["segmentation"]["counts"]) for a in json.loads(table)["annotations"]]
    assert len(lengths) == 100
    assert 300_000 < len(jpeg) < 700_000
    assert 1000 < np.mean(lengths) < 2600  # real photographs in this form: 1083 to 2540


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, asam_datasets.demo; print(*{'torch', 'transformers', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
