"""What was published, read by stock `datasets` of three versions, compared with the source archive."""

import hashlib
import io
import json
from pathlib import Path

import pytest
from conftest import Run, clean_environment, read_with, tar_members
from PIL import Image
from reading import READERS, check_rows

from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.sources.sa1b import to_sa1b_json

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@pytest.fixture(scope="module")
def published(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "dataset"
    ran = publish("--train", demo.archive, "--captions", demo.captions, "--out", out, fresh=True)
    assert ran.code == 0, ran.err
    return out


@pytest.mark.parametrize("reader", READERS)
def test_every_record_is_the_source(reader: str, published: Path, demo: DemoArchive, tmp_path: Path) -> None:
    seen = read_with(reader, str(published), tmp_path / "seen.json", clean_environment(tmp_path / "home"))
    assert seen["datasets"] == {"datasets-2.19.2": "2.19.2", "datasets-3.6.0": "3.6.0"}.get(reader, seen["datasets"])
    check_rows(seen, demo.archive, demo.captions)


def test_derived_files_with_missing_and_integer_fields(publish: Run, tmp_path: Path) -> None:
    """Fields that a derived file leaves out or writes as integers come back as they were, in every reader."""
    folder = tmp_path / "sa_000009"
    demo = write_demo(tmp_path / "demo", images=3, height=200, width=240)
    folder.mkdir()
    members = tar_members(demo.archive)
    for number, (name, content) in enumerate(sorted(members.items())):
        if name.endswith(".json"):
            record = json.loads(content)
            for position, annotation in enumerate(record["annotations"]):
                annotation["bbox"] = [int(value) for value in annotation["bbox"]]
                for field in list(annotation)[position % 8 :: 3] if number else ():
                    if field != "segmentation":
                        del annotation[field]
            content = json.dumps(record).encode()
        (folder / name).write_bytes(content)
    ran = publish("--train", folder, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    for reader in READERS:
        seen = read_with(reader, str(tmp_path / "out"), tmp_path / "seen.json", clean_environment(tmp_path / "home"))
        for row in seen["rows"]["train map"]:
            assert to_sa1b_json(row) == json.loads((folder / row["file_name"].replace("jpg", "json")).read_bytes())


def test_real_annotations_go_through_unchanged(publish: Run, tmp_path: Path) -> None:
    """An annotation of the real SA-1B, with its inclusive box and its floats, on an image of their size."""
    record = {
        "image": {"image_id": 226381, "width": 2000, "height": 1500, "file_name": "sa_226381.jpg"},
        "annotations": [
            {
                "bbox": [1341.0, 386.0, 20.0, 6.0],
                "area": 130,
                "segmentation": {
                    "size": [1500, 2000],
                    "counts": "`g\\m14g^1101O0O100000000000000000000000O10001N1OVVVm0",
                },
                "predicted_iou": 0.937114953994751,
                "point_coords": [[1347.75, 389.8125]],
                "crop_box": [872.0, 0.0, 692.0, 567.0],
                "id": 333521570,
                "stability_score": 0.9923664331436157,
            }
        ],
    }
    folder = tmp_path / "sa_real"
    folder.mkdir()
    jpeg = io.BytesIO()
    Image.effect_noise((2000, 1500), 40).save(jpeg, "JPEG")
    (folder / "sa_226381.jpg").write_bytes(jpeg.getvalue())
    (folder / "sa_226381.json").write_text(json.dumps(record))
    ran = publish("--train", folder, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    seen = read_with(
        "datasets-latest", str(tmp_path / "out"), tmp_path / "seen.json", clean_environment(tmp_path / "h")
    )
    (row,) = seen["rows"]["train streaming"]
    assert to_sa1b_json(row) == record
    assert row["jpeg"] == hashlib.sha256(jpeg.getvalue()).hexdigest()
