"""Records that are wrong: one clear sentence and nothing published; with `skip`, the good ones."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from archives import (
    PACKS,
    Members,
    Pack,
    drop,
    edited,
    encode_runs,
    pack_tar,
    put,
    tar_bytes,
    tiny_members,
)
from bad_input import ALL_IDS, A, Run, build_of, check_refused, each_pack, ids_by_part, ids_of, rejects_of
from bad_input import _own_temporary_folder as _own_temporary_folder
from bad_input import digest_without as digest_without
from bad_input import members as members
from bad_input import published as published
from bad_input import run as run
from PIL import Image

# ------------------------------------------------------------------------------------------------ defects of one record


@dataclass(frozen=True)
class Defect:
    """Something wrong with record 2, and what the error has to say about it."""

    name: str
    spoil: Callable[[Members], Members]
    place: str
    said: tuple[str, ...]


def in_json(name: str, edit: Callable[[Any], object], place: str, *said: str) -> Defect:
    return Defect(name, lambda members: edited(members, "sa_2.json", edit), f"sa_2.json: {place}: ", said)


def value(place: str, wrong: object, *said: str, at: str | None = None) -> Defect:
    """A wrong value at a place of the JSON; `at` is what the error names when that is not the place itself."""
    return in_json(f"{place} = {str(wrong)[:24]}", put(place, wrong), f"$.{place if at is None else at}", *said)


def text(name: str, change: Callable[[bytes], bytes], *said: str, place: str = "$") -> Defect:
    return Defect(
        f"JSON {name}",
        lambda members: members | {"sa_2.json": change(members["sa_2.json"])},
        f"sa_2.json: {place}: ",
        said,
    )


def image(name: str, change: Callable[[bytes], bytes], *said: str) -> Defect:
    return Defect(name, lambda members: members | {"sa_2.jpg": change(members["sa_2.jpg"])}, "sa_2.jpg: ", said)


def runs(name: str, change: Callable[[Any, int], str], *said: str) -> Defect:
    """Other counts for annotation 3: `change` gets its segmentation and the number of pixels."""

    def edit(table: Any) -> None:
        segmentation = table["annotations"][3]["segmentation"]
        segmentation["counts"] = change(segmentation, segmentation["size"][0] * segmentation["size"][1])

    return in_json(f"counts {name}", edit, "$.annotations[3].segmentation.counts", *said)


def size(name: str, change: Callable[[int, int], list[object]], *said: str, at: str = "") -> Defect:
    def edit(table: Any) -> None:
        segmentation = table["annotations"][3]["segmentation"]
        segmentation["size"] = change(*segmentation["size"])

    return in_json(f"size {name}", edit, f"$.annotations[3].segmentation.size{at}", *said)


def as_png(jpeg: bytes) -> bytes:
    content = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(content, "PNG")
    return content.getvalue()


def claims(side: int) -> Callable[[Members], Members]:
    """Both the JPEG and its JSON say that the image is `side` pixels high and wide."""

    def spoil(members: Members) -> Members:
        jpeg = members["sa_2.jpg"]
        frame = jpeg.index(b"\xff\xc0") + 5
        jpeg = jpeg[:frame] + 2 * side.to_bytes(2, "big") + jpeg[frame + 4 :]

        def edit(table: Any) -> None:
            table["image"]["width"] = table["image"]["height"] = side

        return edited(members | {"sa_2.jpg": jpeg}, "sa_2.json", edit)

    return spoil


DEFECTS = [
    # types
    value(f"{A}.area", "12", "`int", "`str`"),
    value(f"{A}.area", 12.5, "`int", "`float`"),
    value(f"{A}.area", True, "`int", "`bool`"),
    value(f"{A}.area", 2**64, "`int", at=f"{A}.area"),
    value(f"{A}.id", "7", "`int", "`str`"),
    value(f"{A}.id", 2**63, "9223372036854775807", str(2**63)),
    value(f"{A}.id", -(2**63) - 1, "9223372036854775808", str(-(2**63) - 1)),
    value(f"{A}.id", 10**30, str(10**30)),
    value(f"{A}.bbox", [1.0, 2.0, 3.0], "4", "3"),
    value(f"{A}.bbox", [1.0, 2.0, 3.0, 4.0, 5.0], "4", "5"),
    value(f"{A}.bbox[2]", "3", "`float`", "`str`"),
    value(f"{A}.bbox", {"x": 1}, "`array`", "`object`"),
    value(f"{A}.crop_box", "all", "`array`", "`str`"),
    value(f"{A}.predicted_iou", "0.9", "`float`", "`str`"),
    value(f"{A}.predicted_iou", [0.9], "`float`", "`array`"),
    value(f"{A}.point_coords", [1.0, 2.0], "`array`", "`float`", at=f"{A}.point_coords[0]"),
    value(f"{A}.point_coords", [[1.0]], "2", "1", at=f"{A}.point_coords[0]"),
    value(f"{A}.segmentation", "abc", "`object`", "`str`"),
    value(f"{A}.segmentation", [[1, 2, 3, 4, 5, 6]], "`object`", "`array`"),
    value(f"{A}.segmentation.counts", [10, 20], "`str`", "`array`"),
    value(A, [], "`object`", "`array`"),
    value("annotations", {}, "`array`", "`object`"),
    value("image", [], "`object`", "`array`"),
    value("image.width", "256", "`int", "`str`"),
    value("image.width", 256.5, "`int", "`float`"),
    value("image.file_name", 5, "`str`", "`int`"),
    value("image.image_id", "2", "`int", "`str`"),
    text("a list", lambda content: b"[" + content + b"]", "`object`", "`array`"),
    text("a number", lambda content: b"12", "`object`", "`int`"),
    # null
    value("annotations", None, "`array`", "`null`"),
    value("image", None, "`object`", "`null`"),
    value(A, None, "`object`", "`null`"),
    value(f"{A}.area", None, "`int", "`null`"),
    value(f"{A}.bbox", None, "`array`", "`null`"),
    value(f"{A}.segmentation", None, "`object`", "`null`"),
    value(f"{A}.stability_score", None, "`float`", "`null`"),
    # fields
    value(f"{A}.iscrowd", 0, "iscrowd", at=A),
    value("image.license", 1, "license", at="image"),
    in_json("unknown field at the top", put("info", {}), "$", "info"),
    in_json("no image", drop("image"), "$", "image"),
    in_json("no annotations", drop("annotations"), "$", "annotations"),
    in_json("no width", drop("image.width"), "$.image", "width"),
    in_json("no segmentation", drop(f"{A}.segmentation"), f"$.{A}", "segmentation"),
    in_json("no counts", drop(f"{A}.segmentation.counts"), f"$.{A}.segmentation", "counts"),
    # whose it is
    value("image.image_id", 3, "id 2", "3"),
    value("image.image_id", 2**63, str(2**63)),
    value("image.image_id", -2, "id 2", "-2"),
    value("image.file_name", "sa_3.jpg", "'sa_2.jpg'", "'sa_3.jpg'"),
    value("image.file_name", "../sa_2.jpg", "'sa_2.jpg'", "'../sa_2.jpg'"),
    value("image.file_name", "sa_2.jpg\nerror: no", "'sa_2.jpg'", "\\nerror: no"),
    value("image.width", 999, "× 999", at="image"),
    value("image.height", 10**6, f"{10**6}", at="image"),
    value("image.width", 0, "1", "0"),
    value("image.height", -5, "1", "-5"),
    # runs
    runs("too short", lambda s, pixels: encode_runs([10, 20, pixels - 40]), "too short"),
    runs("too long", lambda s, pixels: encode_runs([10, 20, pixels - 20]), "too long"),
    runs("far too long", lambda s, pixels: encode_runs([2**31, 2**31, 2**31]), "longer"),
    runs("of another character", lambda s, pixels: "~" + s["counts"], "'~'"),
    runs("with a space", lambda s, pixels: s["counts"] + " ", "' '"),
    runs("with a NUL", lambda s, pixels: s["counts"] + "\0", "'0' to 'o'"),
    runs("empty", lambda s, pixels: "", "empty"),
    runs("not ASCII", lambda s, pixels: s["counts"] + "é", "'é'"),
    runs("cut in the last run", lambda s, pixels: encode_runs([10, pixels - 10])[:-1], "cut"),
    runs("that never end", lambda s, pixels: "o" * 1000 + "0", "characters"),
    runs("below zero", lambda s, pixels: encode_runs([10, 20, -5, pixels - 25]), "negative"),
    # size
    size("of another image", lambda h, w: [h - 1, w], "size"),
    size("swapped", lambda h, w: [w, h], "swapped"),
    size("of a million squared", lambda h, w: [10**6, 10**6], "[1000000, 1000000]"),
    size("of nothing", lambda h, w: [0, 0], "[0, 0]"),
    size("below zero", lambda h, w: [-h, w], "-", at="[0]"),
    size("beyond int64", lambda h, w: [2**70, w], str(2**70), at="[0]"),
    size("of one number", lambda h, w: [h], "2", "1"),
    size("of three numbers", lambda h, w: [h, w, 3], "2", "3"),
    size("of texts", lambda h, w: [str(h), w], "`int", "`str`", at="[0]"),
    # text
    text("cut in the middle", lambda content: content[: len(content) // 2], "cut"),
    text("cut by one byte", lambda content: content[:-1], "cut"),
    text("of no bytes", lambda content: b"", "cut"),
    text("in UTF-16", lambda content: content.decode().encode("utf-16"), "JSON"),
    text("twice", lambda content: content + content, "JSON"),
    text("all zero bytes", lambda content: bytes(len(content)), "JSON"),
    text("not UTF-8", lambda content: content.replace(b"sa_2.jpg", b"sa_\xff.jpg"), "JSON"),
    text("of brackets", lambda content: b"[" * 200_000, "`object`", "`array`"),
    text("of brackets within", lambda content: b'{"annotations":' + b"[" * 200_000, "", place="$.annotations[0]"),
    text("with NaN", lambda content: content.replace(b'"area": ', b'"area": NaN, "was": ', 1), "JSON"),
    # images
    image("JPEG cut in the middle", lambda jpeg: jpeg[: len(jpeg) // 2], "cut", "whole"),
    image("JPEG cut by two bytes", lambda jpeg: jpeg[:-2], "cut", "whole"),
    image("JPEG cut and padded", lambda jpeg: jpeg[: len(jpeg) // 2].ljust(len(jpeg), b"\0"), "cut", "whole"),
    image("JPEG cut in its header", lambda jpeg: jpeg[:100], "100 bytes"),
    image("JPEG is a PNG", as_png, "PNG"),
    image("JPEG of no bytes", lambda jpeg: b"", "0 bytes"),
    image("JPEG of zero bytes", lambda jpeg: bytes(len(jpeg)), r"\x00"),
    image("JPEG is a page", lambda jpeg: b"<html>not found</html>", "<html>"),
    Defect("image of 144 million pixels", claims(12_000), "sa_2.json: $.image: ", ("12000 × 12000",)),
    Defect("image of 4 billion pixels", claims(65_000), "sa_2.json: $.image: ", ("65000 × 65000",)),
    # halves
    Defect(
        "no JSON",
        lambda members: {name: content for name, content in members.items() if name != "sa_2.json"},
        "sa_2.jpg: ",
        ("sa_2.json", "none"),
    ),
    Defect(
        "no JPEG",
        lambda members: {name: content for name, content in members.items() if name != "sa_2.jpg"},
        "sa_2.json: ",
        ("sa_2.jpg", "none"),
    ),
]

# Every defect in a tar, which is read in any order, and in gzip, which is read as a stream; some in all containers.
each_defect_in_packs = pytest.mark.parametrize(
    ("defect", "pack"),
    [
        pytest.param(defect, pack, id=f"{defect.name.replace(chr(10), ' ')}-{name}")
        for position, defect in enumerate(DEFECTS)
        for name, pack in PACKS.items()
        if name in ("tar", "gzip") or position % 8 == 0
    ],
)


@each_defect_in_packs
def test_a_bad_record_stops_the_run(
    defect: Defect, pack: Pack, run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source = pack(tmp_path, defect.spoil(members))
    outcome = check_refused(run, tmp_path, published, "--train", source)
    assert outcome.error.startswith(f"error: {source}: {defect.place}expected ")
    assert "found" in outcome.error
    # Of a number that is out of range the parser does not tell the value.
    unsaid = "found something else" in outcome.error
    assert unsaid or all(word in outcome.error + outcome.hint for word in defect.said), outcome.error
    assert outcome.hint
    assert len(outcome.error) < len(source) + 300


@each_defect_in_packs
def test_a_bad_record_is_left_out(
    defect: Defect,
    pack: Pack,
    run: Run,
    members: Members,
    tmp_path: Path,
    digest_without: Callable[..., str],
) -> None:
    source, out = pack(tmp_path, defect.spoil(members)), tmp_path / "out"
    outcome = run("--train", source, "--out", out, "--parts", 2, "--on-bad-record", "skip")
    assert outcome.code == 0
    assert "error: " not in outcome.err
    assert f"rejected   1, see {out / 'rejects.jsonl'}" in outcome.out
    assert ids_by_part(out) == [[1, 3], [4, 5, 6]]
    assert build_of(out).name == digest_without(2)
    (reject,) = rejects_of(out)
    assert reject["archive"] == source
    assert reject["member"] == defect.place.split(": ")[0]
    assert all(word in reject["reason"] for word in ("expected ", "found"))
    readme = (out / "README.md").read_text("utf-8")
    assert "5 images" in readme
    assert "; 1 damaged one" in readme
    assert "left out" in readme
    assert json.loads((build_of(out) / "build.json").read_bytes())["rejected"] == 1


def test_several_bad_records_are_all_listed(
    run: Run, members: Members, tmp_path: Path, digest_without: Callable[..., str]
) -> None:
    spoiled = members | {"sa_1.jpg": members["sa_1.jpg"][:500]}
    spoiled = edited(spoiled, "sa_3.json", put("annotations[250].segmentation.counts", "~"))
    del spoiled["sa_6.json"]
    source, out = pack_tar(tmp_path, spoiled), tmp_path / "out"
    outcome = run("--train", source, "--out", out, "--parts", 2, "--on-bad-record", "skip", "--json")
    summary = json.loads(outcome.out)
    assert (outcome.code, summary["rejected"], summary["rows"]) == (0, 3, 3)
    assert Path(summary["rejects"]) == out / "rejects.jsonl"
    assert ids_by_part(out) == [[2], [4, 5]]
    assert build_of(out).name == digest_without(1, 3, 6)
    assert {reject["member"] for reject in rejects_of(out)} == {"sa_1.jpg", "sa_3.json", "sa_6.jpg"}
    again = run("--train", source, "--out", out, "--parts", 2, "--on-bad-record", "skip", "--json")
    assert json.loads(again.out)["changes"]["commits"] == 0
    assert ids_by_part(out) == [[2], [4, 5]]


def test_a_list_of_rejects_does_not_outlive_them(run: Run, members: Members, tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = pack_tar(tmp_path, members | {"sa_2.json": b"{"})
    assert run("--train", source, "--out", out, "--on-bad-record", "skip").code == 0
    assert rejects_of(out)
    pack_tar(tmp_path, members)
    assert run("--train", source, "--out", out, "--on-bad-record", "skip").code == 0
    assert ids_of(out) == ALL_IDS
    assert not (out / "rejects.jsonl").exists()


@each_pack
def test_an_archive_of_bad_records_alone_is_an_error(
    pack: Pack, run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    spoiled = {name: b"{" if name.endswith(".json") else content for name, content in members.items()}
    source = pack(tmp_path, spoiled)
    outcome = check_refused(run, tmp_path, published, "--train", source, "--on-bad-record", "skip")
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert "6 rejected" in outcome.error
    assert outcome.hint


def test_finished_parts_of_a_stopped_run_stay_out_of_sight(run: Run, members: Members, tmp_path: Path) -> None:
    source, out = pack_tar(tmp_path, members | {"sa_6.json": b"{"}), tmp_path / "out"
    assert run("--train", source, "--out", out, "--parts", 3).code == 1
    assert {path.name for path in out.iterdir()} <= {".asam_datasets"}
    assert not list(out.rglob("*.tmp"))


def test_a_stopped_first_publish_shows_no_archive(run: Run, members: Members, tmp_path: Path) -> None:
    """Parts in `data/` without a README would be a dataset for `load_dataset`, with half of the archives."""
    good, bad, out = tmp_path / "sa_000001.tar", tmp_path / "sa_000002.tar", tmp_path / "out"
    good.write_bytes(tar_bytes(tiny_members(2, first_id=900)))
    bad.write_bytes(tar_bytes(members | {"sa_2.json": b"{"}))
    outcome = run("--train", good, bad, "--out", out)
    assert (outcome.code, outcome.error.startswith(f"error: {bad}: sa_2.json: ")) == (1, True)
    assert [path for path in out.rglob("*.parquet") if not path.relative_to(out).parts[0].startswith(".")] == []
