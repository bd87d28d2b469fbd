"""Data of one's own as a source: what is recognised, what comes out of it, and what is said where it is neither."""

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from archives import pack_tar, tiny_members
from bad_input import Run
from bad_input import run as run
from own_data import CAT, DIAGONAL, DOG, POLYGON, coco_files, coco_table, encoded, pack, pair_files
from PIL import Image
from pycocotools import mask as coco

from asam_datasets.errors import CaptionsError, RecordError, SourceError, spelled
from asam_datasets.masks import decode
from asam_datasets.organized import export, organize
from asam_datasets.published import open_dataset, verify
from asam_datasets.rights import OWN
from asam_datasets.sources import BadRecords, parse_captions
from asam_datasets.sources.sa1b import Record, canonical_captions, open_source, read_record

KINDS = ("folder", "tar", "zip")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, with NumPy 2
    RECTANGLE = coco.decode(coco.merge(coco.frPyObjects([POLYGON], *CAT)))
COLUMN = np.zeros(40 * 60, np.uint8)
COLUMN[100:150] = 1
COLUMN = COLUMN.reshape(60, 40).T


def records(place: Path, bad: BadRecords | None = None) -> tuple[list[Record], tuple[str, ...]]:
    """All records of a source, and what is said of it."""
    source = open_source(place)
    found = source.index(bad or BadRecords())  # type: ignore[union-attr]
    try:
        return [read_record(source.read(ref), None) for ref in found.records], found.notes  # type: ignore[union-attr]
    finally:
        source.close()  # type: ignore[union-attr]


def masks_of(record: Record) -> list[np.ndarray]:
    shape = (record.image.height, record.image.width)
    return [decode({"size": list(shape), "counts": one.segmentation.counts}) for one in record.annotations]


@pytest.mark.parametrize("kind", KINDS)
def test_coco(kind: str, tmp_path: Path) -> None:
    """Polygons as pycocotools draws them; box and area are those of the mask, whatever the file said."""
    files = coco_files()
    (dog, cat), notes = records(pack(kind, tmp_path, files))
    assert (dog.image.image_id, dog.image.file_name, cat.image.image_id, cat.image.file_name) == (
        *(3, "sub/dog.JPG"),
        *(7, "Cat 1.png"),
    )
    assert (dog.jpeg, cat.jpeg) == (files["images/sub/dog.JPG"], files["images/Cat 1.png"])
    for record, expected in ((dog, [DIAGONAL]), (cat, [RECTANGLE, COLUMN])):
        for found, mask, one in zip(masks_of(record), expected, record.annotations, strict=True):
            assert np.array_equal(found, mask)
            rows, columns = np.nonzero(mask)
            assert one.area == mask.sum()
            assert one.bbox == (columns.min(), rows.min(), np.ptp(columns), np.ptp(rows))  # inclusive, as SA-1B's
    assert [one.id for one in cat.annotations] == [11, 12]
    assert notes == (
        "mine: 2 images by instances.json (COCO JSON); image ids are those of the JSON",
        "mine: left out: 1 annotations of crowds",
        "mine: left out: 1 annotations without a mask",
        "mine: left out: categories (2), for which the train table has no column; "
        "published as an evaluation set it keeps them",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pairs(kind: str, tmp_path: Path) -> None:
    found, notes = records(pack(kind, tmp_path, pair_files()))
    assert [one.image.file_name for one in found] == ["Cat 1.png", "dog.jpeg"]
    first = found[0].image.image_id
    assert [one.image.image_id for one in found] == [first, first + 1]
    assert 2**31 < first < 2**53  # beside the ids of COCO and of other archives, and exact in every JSON reader
    assert np.array_equal(masks_of(found[0])[0], RECTANGLE)
    assert np.array_equal(masks_of(found[1])[0], DIAGONAL)
    assert notes == (
        f"mine: 2 images with a JSON each; image ids are given in the order of the names, from {first}",
        "mine: left out: fields for which the train table has no column (`label` of 1 annotations)",
    )


def test_names_of_sa1b_keep_their_ids(tmp_path: Path) -> None:
    """A COCO file of SA-1B's own images, numbered anew: everybody takes `sa_7.jpg` for image 7."""
    table = coco_table()
    table["images"][0].update(id=1, file_name="sa_7.jpg")
    table["annotations"][0]["image_id"] = table["annotations"][1]["image_id"] = 1
    del table["images"][1], table["annotations"][2:]
    files = {"images/sa_7.jpg": encoded(CAT, "JPEG"), "instances.json": json.dumps(table).encode()}
    (found,), notes = records(pack("folder", tmp_path, files))
    assert (found.image.image_id, found.image.file_name, len(found.annotations)) == (7, "sa_7.jpg", 2)
    assert notes[0].endswith("image ids are those of the names")


def test_a_json_that_is_named_or_lies_beside(tmp_path: Path) -> None:
    """Of two COCO files the one that was named counts; one beside a folder of images is found."""
    folder = pack("folder", tmp_path, {**coco_files(), "other.json": json.dumps(coco_table()).encode()})
    with pytest.raises(SourceError, match=r"recognised 'instances.json' and 'other.json'") as caught:
        records(folder)
    assert "PATH.json" in spelled(caught.value.hint)
    named, _ = records(folder / "instances.json")
    (folder / "instances.json").rename(folder / "images.json")
    (folder / "other.json").unlink()
    beside, notes = records(folder / "images")
    assert [one.image for one in beside] == [one.image for one in named]
    assert notes[0].startswith("images: 2 images by images.json")
    (folder / "annotations").mkdir()
    (folder / "images.json").rename(folder / "annotations" / "instances.json")
    around, _ = records(folder / "annotations" / "instances.json")
    assert [one.image for one in around] == [one.image for one in named]


def test_sa1b_in_a_zip_is_the_archive(tmp_path: Path, run: Run) -> None:
    """The same parts as out of the tar."""
    members = tiny_members(3)
    with zipfile.ZipFile(tmp_path / "sa_000000.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"a/{name}", content)
    assert run("--train", tmp_path / "sa_000000.zip", "--out", tmp_path / "out").code == 0
    again = run("--train", pack_tar(tmp_path, members), "--out", tmp_path / "out", "--dry-run")
    assert "unchanged" in again.out


def test_published(tmp_path: Path, run: Run) -> None:
    """From the folder to rows, with captions by file name; they stay when the next run says nothing about them."""
    folder = pack("folder", tmp_path, coco_files())
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "Cat 1.png", "text": "a cat"}\n{"file_name": "images/sub/dog.JPG", "text": "a dog"}\n'
    )
    out = tmp_path / "out"
    done = run("--train", folder, "--captions", tmp_path / "metadata.jsonl", "--out", out)
    assert done.code == 0
    assert "image ids are those of the JSON" in done.err
    (part,) = out.glob("data/train/*/*.parquet")
    rows = pq.read_table(part, columns=["file_name", "image_id", "caption", "image"]).to_pylist()
    assert [(row["file_name"], row["image_id"], row["caption"]) for row in rows] == [
        ("sub/dog.JPG", 3, "a dog"),
        ("Cat 1.png", 7, "a cat"),
    ]
    assert rows[1]["image"] == {"bytes": coco_files()["images/Cat 1.png"], "path": "Cat 1.png"}
    assert not verify(out, deep=True).findings
    assert "unchanged" in run("--train", folder, "--out", out, "--dry-run").out
    (build,) = open_dataset(out).builds
    assert build.rights == OWN  # and not those of SA-1B
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("file_name,caption\nCat 2.png,a cat\n")
    refused = run("--train", folder, "--captions", wrong, "--out", tmp_path / "other")
    assert "Cat 2.png" in refused.error


def edited(edit: Callable[[dict[str, Any]], object]) -> dict[str, bytes]:
    table = coco_table()
    edit(table)
    return {**coco_files(), "instances.json": json.dumps(table).encode()}


def turned() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = coco_files()
    image, file = Image.open(io.BytesIO(files["images/sub/dog.JPG"])), io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    return {**files, "images/sub/dog.JPG": file.getvalue()}


BAD: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "no image": (lambda: {"a.json": b"{}"}, "found 1 annotation files and no image"),
    "no annotations": (lambda: {"a.jpg": b"x", "notes.json": b"{}"}, r"no annotations for them \(notes.json: neither"),
    "no such image": (lambda: edited(lambda t: t["images"][0].update(file_name="../../etc/x.png")), "etc/x.png'.*none"),
    "two such images": (
        lambda: (
            {**coco_files(), "more/Cat 1.png": b"x"} | edited(lambda t: t["images"][0].update(file_name="Cat 1.png"))
        ),
        "2 that it may be",
    ),
    "an image twice": (lambda: edited(lambda t: t["images"][1].update(file_name="Cat 1.png")), "again as image 7"),
    "an id twice": (lambda: edited(lambda t: t["images"][1].update(id=7)), r"found 7 again"),
    "another size": (lambda: edited(lambda t: t["images"][0].update(width=61)), "40 × 60 .* found 40 × 61"),
    "no ring": (lambda: edited(lambda t: t["annotations"][0].update(segmentation="x")), r"\$.annotations\[0\]"),
    "runs of another": (
        lambda: edited(lambda t: t["annotations"][1]["segmentation"].update(counts=[1, 2])),
        r"annotations\[1\].segmentation.counts.* add up to 3",
    ),
    "alone": (lambda: {**pair_files(), "photos/x.png": b""}, "photos/x.png: .* no x.json"),
    "no JSON": (lambda: {**pair_files(), "labels/dog.json": b"{"}, "labels/dog.json: .* of one image"),
    "turned": (turned, r"EXIF wants to be turned \(6\)"),
    "no image inside": (lambda: {**coco_files(), "images/Cat 1.png": b"GIF89a"}, r"Cat 1.png: expected .*JPEG or PNG"),
}


@pytest.mark.parametrize(("make", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_read(make: Callable[[], dict[str, bytes]], said: str, tmp_path: Path) -> None:
    """It says what was recognised and what is missing; nobody can get a stranger's archive again."""
    place = pack("folder", tmp_path, make())
    with pytest.raises((SourceError, RecordError), match=said) as caught:
        records(place)
    assert str(tmp_path) in str(caught.value)
    assert "again" not in caught.value.hint.replace("run the same command again", "")


CAPTIONS = {
    "metadata.jsonl": '{"file_name": "a b.png", "text": "x, y"}\n{"file_name": "c.png", "text": "z"}\n',
    "array.json": '[{"image": "a b.png", "caption": "x, y"}, {"img": "c.png", "prompt": "z"}]',
    "table.csv": '\ufeffid,File_Name,text\n1,a b.png,"x, y"\n\n2,c.png,z\n',
    "table.tsv": "filename\tcaption\na b.png\tx, y\nc.png\tz\n",
}


@pytest.mark.parametrize("name", CAPTIONS)
def test_captions(name: str) -> None:
    assert parse_captions(CAPTIONS[name].encode(), name, BadRecords()) == {"a b.png": "x, y", "c.png": "z"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"name,words\nx,y\n", r"line 1: expected columns .* found name, words"),
        ("a.csv", b"img,text\nx\n", "line 2: expected 2 columns"),
        ("a.csv", b"\xff\xfe", "UTF-8"),
        ("a.csv", b'img,text\n"x', "expected a table"),
        ("a.json", b'[{"img": "x"}]', r"\$\[0\].*no field `prompt`, `caption` or `text`"),
        ("a.json", b'[{"img": "x", "text": "y"}', "line 1: .*found .*x"),
        ("a.jsonl", b'{"file_name": "x", "text": "y", "caption": "z"}', "two texts"),
    ],
)
def test_bad_captions(name: str, content: bytes, said: str) -> None:
    with pytest.raises(CaptionsError, match=said):
        parse_captions(content, name, BadRecords())


def test_names_of_captions(tmp_path: Path) -> None:
    """An image is known by its name in the table, its path, and its bare name where that is its own."""
    found = open_source(pack("folder", tmp_path, coco_files())).index(BadRecords()).records  # type: ignore[union-attr]
    for name in ("sub/dog.JPG", "images/sub/dog.JPG", "dog.JPG", "./dog.JPG"):
        assert canonical_captions({name: "x", "y.png": "z"}, found) == {"sa_3.jpg": "x", "y.png": "z"}
    with pytest.raises(CaptionsError, match="under another of its names"):
        canonical_captions({"dog.JPG": "x", "sub/dog.JPG": "y"}, found)


# ------------------------------------------------------------------------------------------------ zips


def zip_of(path: Path, change: Callable[[zipfile.ZipFile], object], *, then: Callable[[bytes], bytes] = bytes) -> Path:
    place = path / "sa_000000.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in tiny_members(2).items():
            archive.writestr(name, content)
        change(archive)
    place.write_bytes(then(place.read_bytes()))
    return place


def link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("sa_9.jpg")
    info.external_attr = 0o120777 << 16
    archive.writestr(info, "/etc/passwd")


def in_directory(name: bytes, offset: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """Change a number of a member's entry in the directory."""

    def change(content: bytes) -> bytes:
        place = content.index(name, content.index(b"PK\x01\x02")) - 46 + offset
        return content[:place] + struct.pack(form, value) + content[place + struct.calcsize(form) :]

    return change


ODD_ZIPS: dict[str, tuple[Callable[[zipfile.ZipFile], object], Callable[[bytes], bytes], str]] = {
    "leaves": (lambda a: a.writestr("../sa_9.jpg", b"x"), bytes, "inside the archive"),
    "absolute": (lambda a: a.writestr("/sa_9.jpg", b"x"), bytes, "inside the archive"),
    "bomb": (lambda a: a.writestr("sa_9.jpg", bytes(2**24)), bytes, "as no images do"),
    "link": (link, bytes, "symbolic link"),
    "encrypted": (lambda a: a.writestr("sa_9.jpg", b"x"), in_directory(b"sa_9.jpg", 8, "<H", 1), "encrypted"),
    "lzma": (lambda a: a.writestr("sa_9.jpg", b"x", zipfile.ZIP_LZMA), bytes, "compression 14"),
    "a claim": (lambda a: a.writestr("sa_9.jpg", b"x"), in_directory(b"sa_9.jpg", 24, "<I", 2**31), "would grow"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "then", "said"), ODD_ZIPS.values(), ids=ODD_ZIPS)
def test_an_odd_member(
    change: Callable[[zipfile.ZipFile], object], then: Callable[[bytes], bytes], said: str, tmp_path: Path
) -> None:
    """It stops the run, or is listed while the others are read."""
    place = zip_of(tmp_path, change, then=then)
    with pytest.raises(RecordError, match=said):
        records(place)
    skipping = BadRecords("skip")
    found, _ = records(place, skipping)
    assert [one.image.image_id for one in found] == [1, 2]
    assert said in skipping.rejects[0].reason


def test_a_name_twice(tmp_path: Path) -> None:
    """Two members of one name: the first counts, as in a tar, and its bytes are those that are read."""
    with pytest.warns(UserWarning, match="Duplicate"):
        place = zip_of(tmp_path, lambda archive: archive.writestr("sa_1.json", b"{}"))
    with pytest.raises(RecordError, match="once"):
        records(place)
    skipping = BadRecords("skip")
    found, _ = records(place, skipping)
    assert len(found) == 2
    assert len(skipping.rejects) == 1


BAD_ZIPS: dict[str, tuple[Callable[[bytes], bytes], type[Exception], str]] = {
    "cut": (lambda content: content[:-10], SourceError, "found a file that is none"),
    "a directory beyond its end": (in_directory(b"sa_1.jpg", 42, "<I", 2**31), RecordError, "whole member"),
    "other bytes": (lambda c: c[:60] + bytes([c[60] ^ 255]) + c[61:], RecordError, "whole member"),
    "one in another": (in_directory(b"sa_1.jpg", 20, "<I", 2**31), SourceError, "lie in one another"),
    "a huge directory": (lambda c: c[:-10] + struct.pack("<I", 2**26) + c[-6:], SourceError, "at most are held"),
}


@pytest.mark.parametrize(("then", "kind", "said"), BAD_ZIPS.values(), ids=BAD_ZIPS)
def test_a_damaged_zip(then: Callable[[bytes], bytes], kind: type[Exception], said: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=said):
        records(zip_of(tmp_path, lambda archive: None, then=then))


def test_a_zip_that_changes(tmp_path: Path) -> None:
    place = zip_of(tmp_path, lambda archive: None)
    source = open_source(place)
    found = source.index(BadRecords())  # type: ignore[union-attr]
    zip_of(tmp_path, lambda archive: archive.writestr("more.txt", b"x"))
    with pytest.raises(SourceError, match="another zip"):
        source.read(found.records[0])  # type: ignore[union-attr]
    source.close()  # type: ignore[union-attr]


def test_an_image_of_the_size_of_its_dog() -> None:
    assert encoded(DOG, "PNG") != encoded(DOG, "PNG", seed=1)  # what the tests tell apart differs


def test_asams_folder(tmp_path: Path, run: Run) -> None:
    """Its programs know images by `sa_N.jpg`: so yours are called there, by `organize` and by `export` alike."""
    files = {**coco_files(), "images/Cat 1.png": encoded(CAT, "JPEG")}  # a JPEG, whatever it is called
    folder = pack("folder", tmp_path, files)
    organize([str(folder)], tmp_path / "organised", workers=1)
    assert run("--train", folder, "--out", tmp_path / "out").code == 0
    export(tmp_path / "out", tmp_path / "exported", workers=1)
    for made in (tmp_path / "organised" / "mine", tmp_path / "exported" / "mine"):
        assert (made / "sa_7.jpg").read_bytes() == files["images/Cat 1.png"]
        table = json.loads((made / "sa_7.json").read_text())
        assert table["image"] == {"image_id": 7, "width": 60, "height": 40, "file_name": "sa_7.jpg"}
        assert len(list((made / "sa_3").iterdir())) == 1
    png = pack("folder", tmp_path / "png", coco_files())
    with pytest.raises(RecordError, match="JPEG"):
        organize([str(png)], tmp_path / "other", workers=1)
