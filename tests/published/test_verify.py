"""`verify` finds what is wrong, and nothing where nothing is."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from by_hand import as_last_release, reindex
from conftest import ROOT, Ran, Run, run_python
from local_hub import Fault, LocalHub

from asam_datasets.builds import BUILD_FILE, decode_build, encode_build
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.machine import file_sha256
from asam_datasets.published import verify as deep_verify

REPO = "xhk/ASAM-Datasets"


def verify(*args: str | Path, env: Mapping[str, str] | None = None) -> Ran:
    return run_python("-m", "asam_datasets", "verify", *args, env=env)


def findings(dataset: Path) -> str:
    """What a deep verification in this process finds, a line for each; it finds something."""
    report = deep_verify(str(dataset), deep=True)
    assert not report.is_good
    assert (report.deep, report.target) == (True, str(dataset.resolve()))
    return "\n".join(f"{finding.where}: {finding.problem}" for finding in report.findings)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, publish: Run) -> Path:
    folder = tmp_path_factory.mktemp("published")
    demo = write_demo(folder / "demo", images=4, height=200, width=240)
    out = folder / "out"
    ran = publish("--train", demo.archive, "--captions", demo.captions, "--out", out, "--parts", "1")
    assert ran.code == 0, ran.err
    return out


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "copy"))


def build_folder(dataset: Path) -> Path:
    (folder,) = (dataset / "data/train").glob("*")
    return folder


def test_a_good_dataset(published: Path) -> None:
    for deep in ([], ["--deep"]):
        ran = verify(published, *deep)
        assert ran.code == 0, ran.out
        assert "Everything is as it should be." in ran.out
    report = json.loads(verify(published, "--deep", "--json", "--workers", "2").out)
    assert (report["records"], report["findings"], report["parts"]) == (4, [], 1)


def test_files(copy: Path) -> None:
    folder = build_folder(copy)
    part = folder / "part-000.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:-1])
    assert f"expected {len(content)} bytes, found {len(content) - 1}" in verify(copy).out
    part.write_bytes(content[:-1] + b"?")
    wrong = verify(copy)
    assert wrong.code == 1
    assert "expected sha256" in wrong.out
    assert "Traceback" not in verify(copy, "--deep").err
    part.unlink()
    assert "expected the part, found no such file" in verify(copy).out
    part.write_bytes(content)
    (copy / ".huggingface.yaml").write_text("configs: []\n")
    assert "overruling" in verify(copy).out
    (copy / ".huggingface.yaml").unlink()
    shutil.copytree(folder, folder.with_name("sa_000009-0123456789abcdef-r000000000009"))
    left = verify(copy)
    assert left.code == 0
    assert "an unfinished publish left it" in left.out


def test_the_card_and_the_manifest(copy: Path) -> None:
    readme = copy / "README.md"
    text = readme.read_text()
    readme.write_text(text.replace("num_examples: 4", "num_examples: 5"))
    assert "expected 4 rows, as the manifests say, found 5" in verify(copy).out
    readme.write_text(text)
    manifest = build_folder(copy) / BUILD_FILE
    for wrong in ("null", "5", "{a: b}", "[[1]]"):
        front, _, body = text.partition("dataset_info:")
        readme.write_text(f"{front}dataset_info: {wrong}\n---{body.split('---', 1)[1]}")
        assert "dataset_info: expected splits and their rows for each config" in verify(copy).out
    readme.write_text(text)
    digest = decode_build(manifest.read_bytes(), "").digest
    other = f"{int(digest, 16) ^ 1:016x}"
    manifest.write_text(manifest.read_text().replace(f'"digest": "{digest}"', f'"digest": "{other}"'))
    assert "expected what the index says of the build, found something else" in verify(copy).out
    manifest.write_text(manifest.read_text().replace(f'"digest": "{other}"', '"digest": "0"'))
    assert "found: the digest '0'" in verify(copy).out
    reindex(copy)
    assert "found the digest '0'" in verify(copy).err
    manifest.write_text(manifest.read_text().replace('"digest": "0"', f'"digest": "{digest}"'))
    reindex(copy)
    assert verify(copy).code == 0
    folder = build_folder(copy)
    run = folder.name.rpartition("-")[2]
    extra = shutil.copytree(folder, folder.with_name(f"sa_000001-{digest}-{run}"))
    assert "is named by nothing" in verify(copy).out
    text = readme.read_text()
    readme.write_text(text.replace(f"data/train/{folder.name}/**/", f"data/train/*-{run}/**/"))
    assert f"expected only what the index has, found that {readme.name} shows this as well" in verify(copy).out
    readme.write_text(text)
    shutil.rmtree(extra)
    as_last_release(copy)
    assert verify(copy, "--deep").code == 0, "as the last release left it"
    manifest = build_folder(copy) / manifest.name
    manifest.write_text(manifest.read_text().replace(f'"digest": "{digest}"', f'"digest": "{other}"'))
    moved = verify(copy)
    assert moved.code == 1
    assert f"found that of 'data/train/sa_000000-{other}'" in moved.err


Change = Callable[[dict[str, Any]], object]


def change_first(row: Callable[[dict[str, Any]], object]) -> Change:
    return lambda rows: row(rows["rows"][0])


WRONG: dict[str, tuple[Change, str]] = {
    "area": (lambda d: d["rows"][0]["annotations"][1].update(area=7), ".annotations[1].area: expected"),
    "box": (lambda d: d["rows"][0]["annotations"][0].update(bbox=[0.0, 0.0, 3.0, 3.0]), "one less than COCO's"),
    "mask": (lambda d: d["rows"][0]["masks"].reverse(), "expected the mask of its annotation, found another image"),
    "masks": (lambda d: d["rows"][0]["masks"].pop(), "one for each annotation"),
    "runs": (
        lambda d: d["rows"][0]["annotations"][0]["segmentation"].update(counts="0"),
        ".annotations[0].segmentation.counts: expected runs that cover",
    ),
    "size": (lambda d: d["rows"][0].update(height=201), "expected 201 × 240 (height × width), found 200 × 240"),
    "image": (lambda d: d["rows"][0]["image"].update(bytes=b"no image"), "expected an image that decodes"),
    "no image": (lambda d: d["rows"][0].update(image=None), "expected an image, found none"),
    "painting": (
        lambda d: d["rows"][0]["conditioning_image"].update(bytes=d["rows"][1]["conditioning_image"]["bytes"]),
        "expected the painting of its masks",
    ),
    "name": (lambda d: d["rows"][0].update(file_name="sa_9.jpg"), ".file_name: expected sa_1.jpg, found sa_9.jpg"),
    "archive": (lambda d: d["rows"][0].update(archive="sa_9"), ".archive: expected sa_000000, found sa_9"),
    "caption": (lambda d: d["rows"][0].update(caption=None), "expected 4 captions, as build.json says, found 3"),
    "row": (lambda d: d["rows"].pop(), "expected 4 rows, as build.json says, found 3"),
    "again": (
        lambda d: d["rows"][1].update(d["rows"][0]),
        "expected each image once, found 1 again, such as sa_1.jpg",
    ),
    "large": (lambda d: d["rows"][0].update(height=2**20, width=2**20), "expected 1 to 67108864 pixels, found 1048576"),
    "short box": (
        lambda d: d["rows"][0]["annotations"][0]["bbox"].pop(),
        "length 4, got 3 - at `$.annotations[0].bbox`",
    ),
    "no masks": (lambda d: d["rows"][0].update(masks=None), "got `null` - at `$.masks`"),
    "a mask is null": (lambda d: d["rows"][0]["masks"].__setitem__(1, None), "got `null` - at `$.masks[1]`"),
    "a mask is empty": (lambda d: d["rows"][0]["masks"][1].update(bytes=None), ".masks[1]: expected the mask of its"),
    "no annotations": (lambda d: d["rows"][0].update(annotations=None), "got `null` - at `$.annotations`"),
    "no runs": (
        lambda d: d["rows"][0]["annotations"][1].update(segmentation=None),
        "sa_1.jpg: expected a row of a published dataset, found: Expected `object`, got `null` - at",
    ),
    "no name": (lambda d: d["rows"][0].update(file_name=None), "got `null` - at `$.file_name`"),
    "no width": (lambda d: d["rows"][0].update(width=None), "got `null` - at `$.width`"),
    "no id": (lambda d: d["rows"][0].update(image_id=None), "sa_1.jpg.image_id: expected a value, found none"),
    "no archive": (lambda d: d["rows"][0].update(archive=None), ".archive: expected a value, found none"),
    "no bytes": (lambda d: d["rows"][0]["image"].update(bytes=None), "expected an image that decodes"),
    "no painting": (
        lambda d: d["rows"][0].update(conditioning_image=None),
        ".conditioning_image: expected a value, found none",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_records(what: str, copy: Path) -> None:
    """Each record is changed, and the manifest is made to agree: only `--deep` can see it."""
    change, expected = WRONG[what]
    part = build_folder(copy) / "part-000.parquet"
    table = pq.read_table(part)
    rows = table.to_pylist()
    change({"rows": rows})
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)
    agree(part)
    wrong = findings(copy)
    assert expected in wrong, wrong


def agree(part: Path) -> None:
    """Make the manifest say of a part what is true of it now."""
    manifest = part.with_name(BUILD_FILE)
    text = manifest.read_text()
    old = decode_build(manifest.read_bytes(), "").parts[0]
    text = text.replace(old.sha256, file_sha256(part)).replace(
        f'"size_bytes": {old.size_bytes}', f'"size_bytes": {part.stat().st_size}'
    )
    manifest.write_text(text)
    reindex(part.parents[3])


def flipped(column: str) -> Callable[[Path], None]:
    """Damage the bytes of a column in the middle."""

    def damage(part: Path) -> None:
        group = pq.read_metadata(part).row_group(0)
        chunks = {chunk.path_in_schema: chunk for chunk in map(group.column, range(group.num_columns))}
        chunk = chunks[column]
        content = bytearray(part.read_bytes())
        middle = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size // 2
        content[middle : middle + 20] = b"\xff" * 20
        part.write_bytes(content)

    return damage


def not_text(part: Path) -> None:
    """A caption that is not UTF-8."""
    table = pq.read_table(part)
    captions = pa.array([b"\xff\xfe", *(b"a" for _ in range(3))], pa.binary()).view(pa.string())
    pq.write_table(
        table.set_column(table.schema.get_field_index("caption"), table.schema.field("caption"), captions), part
    )


def other_groups(part: Path) -> None:
    pq.write_table(pq.read_table(part), part, row_group_size=2)


def far_footer(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-8] + (2**31).to_bytes(4, "little") + b"PAR1")


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda part: part.write_bytes(part.read_bytes()[:-9]), "expected a part of a published dataset, found: no"),
    "empty": (lambda part: part.write_bytes(b""), "expected a part of a published dataset, found: no footer"),
    "no Parquet": (lambda part: part.write_bytes(b"<html>"), "found: no footer of Parquet at the end of its 6 bytes"),
    "a footer elsewhere": (far_footer, "expected a part of a published dataset, found: no footer"),
    "a footer of noise": (
        lambda part: part.write_bytes(part.read_bytes()[:-40] + b"?" * 32 + part.read_bytes()[-8:]),
        "part-000.parquet: expected",
    ),
    "bytes of a column": (flipped("annotations.list.element.segmentation.counts"), "part-000.parquet: expected"),
    "bytes of a mask": (flipped("masks.list.element.bytes"), ".masks["),
    "not UTF-8": (not_text, "row 0: expected text in UTF-8, found: 'utf-8' codec can't decode byte 0xff"),
    "other row groups": (other_groups, "expected row groups of (4,) rows, as build.json says, found (2, 2)"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_bytes(what: str, copy: Path) -> None:
    """A manifest that agrees: damage is found in the part, and is a finding, not an error."""
    damage, expected = DAMAGED[what]
    part = build_folder(copy) / "part-000.parquet"
    damage(part)
    agree(part)
    wrong = findings(copy)
    assert expected in wrong, wrong


def test_another_table(copy: Path) -> None:
    part = build_folder(copy) / "part-000.parquet"
    pq.write_table(pa.table({"a": [1]}), part)
    manifest = part.with_name(BUILD_FILE)
    build = decode_build(manifest.read_bytes(), "")
    manifest.write_bytes(encode_build(build).replace(build.parts[0].sha256.encode(), file_sha256(part).encode()))
    assert "expected what the index says of the build, found something else" in verify(copy).out
    reindex(copy)
    assert verify(copy).code == 1


def test_on_the_hub(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        env["PYTHONPATH"] = str(ROOT)
        missing = verify(REPO, env=env)
        assert missing.code == 1
        assert "no such folder and no repository" in missing.err
        assert publish("--train", demo.archive, "--repo-id", REPO, "--tag", "v1", env=env).code == 0
        for more in ([], ["--deep", "--workers", "2"], ["--revision", "v1"]):
            ran = verify(REPO, *more, env=env)
            assert ran.code == 0, ran.out + ran.err
        assert "looked at 12 records" in verify(REPO, "--deep", env=env).out
        from huggingface_hub import HfApi

        (part, *_) = [path for path in hub.files(REPO) if path.endswith(".parquet")]
        HfApi(endpoint=hub.url, token="hf_test").upload_file(
            path_or_fileobj=b"\0other", path_in_repo=part, repo_id=REPO, repo_type="dataset"
        )
        ran = verify(REPO, env=env)
        assert ran.code == 1
        assert part in ran.out
        assert verify(REPO, "--revision", "nowhere", env=env).code == 1


def test_a_network_that_fails_is_no_finding(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    """What passes is tried again; what does not ends the verification, which then says nothing about the files."""
    with LocalHub(tmp_path / "hub", xet=False) as hub:
        env = {**hub.environment(tmp_path / "home", xet=False), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        env |= {"PYTHONPATH": str(ROOT), "ASAM_DATASETS_WAITS": "0.1,0.1"}
        assert publish("--train", demo.archive, "--repo-id", REPO, "--parts", "2", env=env).code == 0
        faults = [
            hub.inject(Fault(r"\.parquet", "GET", "drop")),
            hub.inject(Fault(r"\.parquet", "GET", "cut", skip=1)),
            hub.inject(Fault(r"\.parquet", "GET", "status", status=503, skip=2)),
        ]
        ran = verify(REPO, "--deep", env=env)
        assert ran.code == 0, ran.out + ran.err
        assert "looked at 12 records" in ran.out
        assert all(fault.spent for fault in faults)
        # What never passes is refused here: a Hub that gives no answer says as much, minutes later.
        for workers in ("1", "2"):
            refused = hub.inject(Fault(r"\.parquet", "GET", "status", status=403, skip=1, times=10**6))
            ran = verify(REPO, "--deep", "--workers", workers, env=env)
            refused.times = 0
            assert ran.code == 1
            assert "found that it refused with status 403" in ran.err
            assert ran.err.count("error: ") == 1
            assert "WRONG" not in ran.out + ran.err
            assert "Traceback" not in ran.err
