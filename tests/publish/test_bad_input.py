"""Bad input: one clear sentence, exit code 1, nothing published; with `skip`, the good records and a list of the bad.

Each defect is tried in every container that can have it: a tar, a folder, gzip under the name of a tar, a URL.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import http.server
import io
import json
import lzma
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from archives import (
    ENDING,
    PACKS,
    ZEROS,
    Members,
    Pack,
    checksummed,
    demo_members,
    drop,
    edited,
    encode_runs,
    entries,
    entry,
    pack_folder,
    pack_gzip,
    pack_tar,
    put,
    tar_bytes,
    tiny_members,
    tree,
    without,
)
from PIL import Image

from asam_datasets.cli import main

ROOT = Path(__file__).resolve().parents[2]
ALL_IDS = [1, 2, 3, 4, 5, 6]


# ------------------------------------------------------------------------------------------------ running the program


@dataclass(frozen=True)
class Outcome:
    """What a run of the program showed."""

    code: object
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what is wrong, after checking that it is the only one."""
        lines = self.err.splitlines()
        assert "Traceback" not in self.err
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, self.err
        assert self.out == ""
        return errors[0]

    @property
    def hint(self) -> str:
        """The line that says what to do about it, empty when there is none."""
        hints = [line for line in self.err.splitlines() if line.startswith("hint: ")]
        assert len(hints) <= 1, self.err
        return "".join(hints)


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: `run("--train", ..., "--out", ...)`."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["publish", "--workers", "1", *map(str, arguments)])
        shown = capsys.readouterr()
        return Outcome(ended.value.code, shown.out, shown.err)

    return run


def run_process(arguments: Sequence[object], *, timeout_s: float = 300, **options: Any) -> Outcome:
    """The real command line, for what could hang or take this process down."""
    command = [sys.executable, "-m", "asam_datasets.publish", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False, **options)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks and spools of the program go where pytest cleans up."""
    folder = tmp_path_factory.mktemp("system")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    return demo_members(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captions of all images of `members`."""
    path = tmp_path_factory.mktemp("captions") / "captions.json"
    path.write_text("".join(f'{{"img": "sa_{i}.jpg", "prompt": "a photo of {i}"}}\n' for i in ALL_IDS))
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of another archive, for what must not change it."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "sa_000009.tar").write_bytes(tar_bytes(tiny_members(2, first_id=900)))
    with pytest.raises(SystemExit) as ended:
        main(["publish", "--workers", "1", "--train", str(folder / "sa_000009.tar"), "--out", str(folder / "out")])
    assert ended.value.code == 0
    return folder / "out"


def check_refused(run: Run, tmp_path: Path, published: Path, *arguments: object) -> Outcome:
    """Run into a new folder and into one that holds a dataset: it fails, and neither shows that it ran."""
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    new, held = place / "new", place / "held"
    before = tree(tmp_path)
    outcome = run(*arguments, "--out", new)
    assert outcome.code == 1
    assert outcome.error
    assert tree(tmp_path) == before
    shutil.copytree(published, held)
    again = run(*arguments, "--out", held)
    assert (again.code, again.error, again.hint) == (1, outcome.error, outcome.hint)
    assert tree(held) == tree(published)
    return outcome


def build_of(out: Path) -> Path:
    """The one build of `sa_000000` in a folder."""
    (folder,) = (out / "data" / "train").iterdir()
    assert folder.name.startswith("sa_000000-")
    return folder


def ids_by_part(out: Path) -> list[list[int]]:
    """Image ids, in the order of the dataset."""
    return [pq.read_table(part, columns=["image_id"])["image_id"].to_pylist() for part in parts_of(out)]


def parts_of(out: Path) -> list[Path]:
    return sorted(build_of(out).glob("*.parquet"))


def ids_of(out: Path) -> list[int]:
    return [image_id for part in ids_by_part(out) for image_id in part]


def files(folder: Path) -> dict[str, str]:
    return {name: content for name, content in tree(folder).items() if content != "folder"}


def rejects_of(out: Path) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in (out / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert all(list(line) == ["archive", "member", "reason"] for line in lines)
    return lines


@pytest.fixture(scope="module")
def digest_without(members: Members, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The name of the build of an archive that never had some records, in two parts."""

    @functools.cache
    def digest(*lost: int) -> str:
        folder = tmp_path_factory.mktemp("without")
        source = pack_tar(folder, without(members, *lost))
        with pytest.raises(SystemExit) as ended:
            main(["publish", "--workers", "1", "--parts", "2", "--train", source, "--out", str(folder / "out")])
        assert ended.value.code == 0
        return build_of(folder / "out").name

    return digest


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


A = "annotations[3]"
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

each_pack = pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
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


# ------------------------------------------------------------------------------------------------ members of a tar


def link(kind: bytes) -> Callable[[Members], bytes]:
    return lambda members: (
        tar_bytes(without(members, 2)).removesuffix(ENDING)
        + b"".join(
            [entry("sa_2.jpg", kind=kind, target="/etc/hostname"), entry("sa_2.json", members["sa_2.json"]), ENDING]
        )
    )


def with_entry(*pieces: bytes) -> Callable[[Members], bytes]:
    return lambda members: b"".join([*entries(members), *pieces, ENDING])


@dataclass(frozen=True)
class OddMember:
    """A tar with a member that must not be used; `lost` are the records that it takes along."""

    name: str
    make: Callable[[Members], bytes]
    member: str
    said: tuple[str, ...] = ()
    lost: tuple[int, ...] = ()


ODD_MEMBERS = [
    OddMember("symbolic link", link(tarfile.SYMTYPE), "sa_2.jpg", ("regular file", "symbolic link"), (2,)),
    OddMember("hard link", link(tarfile.LNKTYPE), "sa_2.jpg", ("regular file", "hard link"), (2,)),
    OddMember("device", link(tarfile.CHRTYPE), "sa_2.jpg", ("regular file", "device"), (2,)),
    OddMember("named pipe", link(tarfile.FIFOTYPE), "sa_2.jpg", ("regular file", "pipe"), (2,)),
    OddMember("sparse file", link(tarfile.GNUTYPE_SPARSE), "sa_2.jpg", ("regular file", "sparse"), (2,)),
    OddMember("above the archive", with_entry(entry("../x", b"x")), "../x", ("inside the archive",)),
    OddMember("an image above", with_entry(entry("a/../../sa_7.jpg", b"x")), "a/../../sa_7.jpg", ("inside",)),
    OddMember("absolute", with_entry(entry("/etc/x", b"x")), "/etc/x", ("inside the archive",)),
    OddMember("an id again below a folder", with_entry(entry("b/sa_2.jpg", b"x")), "b/sa_2.jpg", ("id 2", "sa_2.jpg")),
    OddMember("the same name again", with_entry(entry("sa_2.json", b"{}")), "sa_2.json", ("id 2", "once")),
    OddMember("an id beyond int64", with_entry(entry(f"sa_{10**20}.jpg", b"x")), f"sa_{10**20}.jpg", ("id",)),
    OddMember("digits of another script", with_entry(entry("sa_٧.jpg", b"x")), "sa_٧.jpg"),
    OddMember("zeros before the id", with_entry(entry("sa_007.jpg", b"x")), "sa_007.jpg"),
]  # fmt: skip

each_odd_member = pytest.mark.parametrize("odd", ODD_MEMBERS, ids=lambda odd: odd.name)
PACK_BYTES: dict[str, Callable[[bytes], bytes]] = {"tar": bytes, "gzip": lambda content: gzip.compress(content, 1)}
each_compression = pytest.mark.parametrize("pack_bytes", PACK_BYTES.values(), ids=PACK_BYTES)


@each_compression
@each_odd_member
def test_an_odd_member_stops_the_run(
    odd: OddMember,
    pack_bytes: Callable[[bytes], bytes],
    run: Run,
    members: Members,
    tmp_path: Path,
    published: Path,
) -> None:
    source = tmp_path / "sa_000000.tar"
    source.write_bytes(pack_bytes(odd.make(members)))
    outcome = check_refused(run, tmp_path, published, "--train", source)
    assert outcome.error.startswith(f"error: {source}: {odd.member}: expected ")
    assert all(word in outcome.error for word in ("found ", *odd.said)), outcome.error
    assert outcome.hint
    assert not (tmp_path.parent / "x").exists()


@each_compression
@each_odd_member
def test_an_odd_member_is_left_out(
    odd: OddMember,
    pack_bytes: Callable[[bytes], bytes],
    run: Run,
    members: Members,
    tmp_path: Path,
    digest_without: Callable[..., str],
) -> None:
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    source.write_bytes(pack_bytes(odd.make(members)))
    outcome = run("--train", source, "--out", out, "--parts", 2, "--on-bad-record", "skip")
    assert outcome.code == 0
    assert "rejected " in outcome.out
    assert build_of(out).name == digest_without(*odd.lost)
    assert odd.member in [reject["member"] for reject in rejects_of(out)]


@each_compression
@pytest.mark.parametrize("size_bytes", [2**28 + 1, 10**12, 2**60])
def test_a_member_of_a_huge_claimed_size(
    size_bytes: int, pack_bytes: Callable[[bytes], bytes], run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source = tmp_path / "sa_000000.tar"
    liar = entry("sa_7.jpg", b"not so much", size_bytes=size_bytes)
    source.write_bytes(pack_bytes(b"".join(entries(members)) + liar))
    outcome = check_refused(run, tmp_path, published, "--train", source)
    assert outcome.error.startswith(f"error: {source}: sa_7.jpg: expected at most ")
    assert f"found {size_bytes}" in outcome.error
    assert outcome.hint
    assert run("--train", source, "--out", tmp_path / "out", "--on-bad-record", "skip").code == 0
    assert ids_of(tmp_path / "out") == ALL_IDS
    assert "sa_7.jpg" in [reject["member"] for reject in rejects_of(tmp_path / "out")]


@pytest.mark.parametrize("prefix", ["a\nerror: x", "a\rerror: x", "a\x1b[2Jb", "a\x9b2Jb", "a\u202eb"])
@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_name_cannot_write_to_the_terminal(
    prefix: str, policy: str, run: Run, members: Members, tmp_path: Path
) -> None:
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    source.write_bytes(with_entry(entry(f"{prefix}/sa_7.jpg", b"x"))(members))
    outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
    if policy == "raise":
        assert outcome.code == 1
        assert outcome.error.startswith(f"error: {source}: ")
        assert all(character.isprintable() for character in outcome.error)
    else:
        assert outcome.code == 0
        assert [reject["member"] for reject in rejects_of(out)] == [f"{prefix}/sa_7.jpg"]


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_name_that_is_not_utf8(policy: str, run: Run, members: Members, tmp_path: Path) -> None:
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    piece = entry("#/sa_7.jpg", b"x")
    source.write_bytes(with_entry(checksummed(piece[:512].replace(b"#", b"\xff")) + piece[512:])(members))
    outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
    if policy == "raise":
        assert outcome.code == 1
        assert "sa_7.jpg" in outcome.error
        assert not out.exists()
    else:
        assert outcome.code == 0
        assert ids_of(out) == ALL_IDS
        assert rejects_of(out)[0]["member"].endswith("/sa_7.jpg")


# ------------------------------------------------------------------------------------------------ damaged tars


@pytest.fixture(scope="module")
def tiny() -> Members:
    return tiny_members(3)


def whole_ids(tiny: Members, cut: int) -> list[int]:
    """The records that are whole in the first `cut` bytes of the tar of `tiny`."""
    end, whole = 0, []
    for name, content in tiny.items():
        end += len(entry(name, content))
        if name.endswith(".json") and end - (-len(content) % 512) <= cut:
            whole.append(int(name[3:-5]))
    return whole


def cuts(tiny: Members) -> list[int]:
    """Every block border, and places beside them and within blocks."""
    length = len(tar_bytes(tiny))
    return sorted({cut for border in range(0, length, 512) for cut in (border, border + 1, border + 257, border + 511)})


@pytest.mark.parametrize("as_url", [False, True], ids=["tar", "url"])
def test_a_truncated_tar_never_passes(as_url: bool, run: Run, tiny: Members, tmp_path: Path) -> None:
    whole, path, out = tar_bytes(tiny), tmp_path / "sa_000000.tar", tmp_path / "out"
    source = path.as_uri() if as_url else str(path)
    for cut in cuts(tiny)[:: 3 if as_url else 1]:
        path.write_bytes(whole[:cut])
        outcome = run("--train", source, "--out", out)
        if cut >= len(whole) - 512:  # the first of the two blocks that end an archive is there
            assert (cut, outcome.code) == (cut, 0)
            assert ids_of(out) == [1, 2, 3]
        else:
            assert (cut, outcome.code) == (cut, 1)
            assert outcome.error.startswith(f"error: {source}: "), cut
            assert not out.exists()


@pytest.mark.parametrize("as_url", [False, True], ids=["tar", "url"])
def test_what_is_whole_in_a_truncated_tar_comes_through(as_url: bool, run: Run, tiny: Members, tmp_path: Path) -> None:
    whole, path = tar_bytes(tiny), tmp_path / "sa_000000.tar"
    source = path.as_uri() if as_url else str(path)
    for cut in cuts(tiny)[5 :: 9 if as_url else 4]:
        if not whole_ids(tiny, cut) or cut >= len(whole) - 512:
            continue
        path.write_bytes(whole[:cut])
        out = tmp_path / f"out-{cut}"
        assert run("--train", source, "--out", out, "--on-bad-record", "skip").code == 0
        assert (cut, ids_of(out)) == (cut, whole_ids(tiny, cut))
        assert "end-of-archive" in "".join(reject["reason"] for reject in rejects_of(out))


@pytest.mark.parametrize("policy", ["raise", "skip"])
@each_compression
def test_a_tar_without_its_end(
    policy: str, pack_bytes: Callable[[bytes], bytes], run: Run, members: Members, tmp_path: Path
) -> None:
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    source.write_bytes(pack_bytes(b"".join(entries(members))))
    outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
    if policy == "raise":
        assert (outcome.code, out.exists()) == (1, False)
        assert "end-of-archive" in outcome.error
        assert "sa_6.json" in outcome.error
        assert outcome.hint
    else:
        assert (outcome.code, ids_of(out), len(rejects_of(out))) == (0, ALL_IDS, 1)


def damaged_header(header: bytes) -> bytes:
    return header[:10] + bytes([header[10] ^ 0x40]) + header[11:]


HOLES: dict[str, Callable[[list[bytes]], bytes]] = {
    "a flipped bit": lambda pieces: b"".join([*pieces[:4], damaged_header(pieces[4]), *pieces[5:], ENDING]),
    "a block of garbage": lambda pieces: b"".join([*pieces[:4], b"\xa5" * 512, pieces[4][512:], *pieces[5:], ENDING]),
    "a block of zeros": lambda pieces: b"".join([*pieces[:4], ZEROS, pieces[4][512:], *pieces[5:], ENDING]),
    "a block of zeros between": lambda pieces: b"".join([*pieces[:4], ZEROS, *pieces[4:], ENDING]),
    "an end in the middle": lambda pieces: b"".join([*pieces[:4], ENDING, *pieces[4:], ENDING]),
    "a record of zeros": lambda pieces: b"".join(
        [*pieces[:4], bytes(len(pieces[4]) + len(pieces[5])), *pieces[6:], ENDING]
    ),
}


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
@each_compression
def test_a_hole_in_a_tar_is_not_its_end(
    policy: str,
    hole: Callable[[list[bytes]], bytes],
    pack_bytes: Callable[[bytes], bytes],
    run: Run,
    members: Members,
    tmp_path: Path,
) -> None:
    """What comes after is lost: an error, or a line in the list of rejects, never silence."""
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    source.write_bytes(pack_bytes(hole(entries(members))))
    outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
    if outcome.code == 0 and ids_of(out) == ALL_IDS:
        return  # read past the hole: no record is lost
    if policy == "raise":
        assert (outcome.code, out.exists()) == (1, False)
        assert outcome.error.startswith(f"error: {source}: ")
        assert "sa_2.json" in outcome.error
        assert outcome.hint
    else:
        assert outcome.code == 0
        assert ids_of(out)[:2] == [1, 2]
        assert rejects_of(out)


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_truncated_gzip(policy: str, run: Run, tiny: Members, tmp_path: Path) -> None:
    whole, source = gzip.compress(tar_bytes(tiny), 1), tmp_path / "sa_000000.tar"
    for cut in (2, 5, 10, 11, 60, 300, len(whole) // 2, len(whole) * 9 // 10, len(whole) - 9, len(whole) - 4):
        source.write_bytes(whole[:cut])
        out = tmp_path / f"out-{cut}"
        outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
        if policy == "raise" or outcome.code:
            assert outcome.code == 1
            assert outcome.error.startswith(f"error: {source}: ")
            assert "gzip" in outcome.error
            assert outcome.hint
            assert not out.exists()
        else:
            assert rejects_of(out)


def test_gzip_with_a_wrong_checksum(run: Run, tiny: Members, tmp_path: Path, published: Path) -> None:
    whole, source = gzip.compress(tar_bytes(tiny), 1), tmp_path / "sa_000000.tar"
    source.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    outcome = check_refused(run, tmp_path, published, "--train", source)
    assert "gzip" in outcome.error
    assert outcome.hint


def number(size_bytes: int) -> bytes:
    """A size as GNU tar writes those that octal digits cannot hold, negative ones too."""
    return (size_bytes % 2**96).to_bytes(12, "big")


def with_size(name: str, size_bytes: int) -> bytes:
    header = entry(name)
    return checksummed(header[:124] + number(size_bytes) + header[136:])


def extended_sparse(name: str) -> bytes:
    """A sparse member whose map goes on in a block that is not there."""
    header = entry(name, kind=tarfile.GNUTYPE_SPARSE)
    return checksummed(header[:482] + b"\1" + header[483:])


def pax(text: bytes) -> bytes:
    return entry("pax", text, kind=tarfile.XHDTYPE)


TRAPS: dict[str, Callable[[list[bytes]], bytes]] = {
    # Python below 3.11.14 reads a header that says "one block back" again, for ever (CVE-2025-8194).
    "a size below zero": lambda pieces: b"".join([*pieces, with_size("x", -512), ENDING]),
    "an image of a size below zero": lambda pieces: b"".join([*pieces[:2], with_size("sa_9.jpg", -512), *pieces[2:]]),
    "a size far below zero": lambda pieces: b"".join([*pieces[:2], with_size("x", -1024), *pieces[2:], ENDING]),
    "a sparse map that ends": lambda pieces: b"".join([*pieces, extended_sparse("sa_9.jpg")]),
    "a sparse map that ends, first": lambda pieces: extended_sparse("sa_9.jpg"),
    "a long name of nobody": lambda pieces: b"".join([*pieces, entry("@", b"name\0", kind=b"L"), ENDING]),
    "a long name of nobody, first": lambda pieces: entry("@", b"name\0", kind=b"L"),
    "pax of a size below zero": lambda pieces: b"".join([*pieces, pax(b"13 size=-512\n"), entry("y"), ENDING]),
    "pax that says nothing": lambda pieces: b"".join([*pieces, pax(b"0 a=b\n"), entry("y"), ENDING]),
    "pax of a bad sparse map": lambda pieces: b"".join(
        [*pieces, pax(b"26 GNU.sparse.map=a,b,c,d\n"), entry("y"), ENDING]
    ),
    # The record says 5 bytes, and hides what the header claims: a reader that believes both skips for ever.
    "a global pax record that hides a size": lambda pieces: b"".join(
        [*pieces, entry("pax", b"9 size=5\n", kind=tarfile.XGLTYPE), with_size("x", 2**95 + 2**87), ENDING]
    ),
    "a global pax record that hides a size, first": lambda pieces: b"".join(
        [entry("pax", b"9 size=5\n", kind=tarfile.XGLTYPE), with_size("x", 2**95 + 2**87)]
    ),
    # A regular expression of `tarfile` takes the square of this.
    "pax of digits": lambda pieces: b"".join([*pieces, pax(b"1" * 2**19), entry("y"), ENDING]),
    "pax of digits, first": lambda pieces: pax(b"1" * 2**19),
    "pax of a bad sparse map, first": lambda pieces: pax(b"26 GNU.sparse.map=a,b,c,d\n") + entry("y") + ENDING,
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_a_trap_for_tar_readers(trap: Callable[[list[bytes]], bytes], tiny: Members, tmp_path: Path) -> None:
    """Each of these once hung or crashed some reader; it is an error that names the archive, or does no harm."""
    sources = []
    for name, pack_bytes in PACK_BYTES.items():
        sources.append(tmp_path / f"sa_{name}.tar")
        sources[-1].write_bytes(pack_bytes(trap(entries(tiny))))
    for source, policy, ids, error in read_in_process(*sources):
        if error:
            assert error.startswith(f"{source}: ")
            assert "expected " in error
        else:
            assert policy == "skip" or ids == [1, 2, 3]


def read_in_process(*sources: Path) -> list[tuple[str, str, list[int], str]]:
    """Read archives to their end under both policies, in a process with little memory and time.

    Returns:
        (source, policy, ids of the records, the error if there was one) of each reading.
    """
    code = (
        "import itertools, json, sys\n"
        "from asam_datasets.errors import AsamDatasetsError\n"
        "from asam_datasets.sources import BadRecords\n"
        "from asam_datasets.sources.sa1b import StreamSource, open_source\n"
        "for place, policy in itertools.product(sys.argv[1:], ('raise', 'skip')):\n"
        "    try:\n"
        "        source, bad = open_source(place), BadRecords(policy)\n"
        "        stream = isinstance(source, StreamSource)\n"
        "        records = source.records(bad) if stream else source.index(bad).records\n"
        "        result = [record.image_id for record in records], ''\n"
        "    except AsamDatasetsError as error:\n"
        "        result = [], str(error)\n"
        "    print(json.dumps([place, policy, *result]), flush=True)\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))

    command = [sys.executable, "-c", code, *map(str, sources)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False, preexec_fn=limit)
    assert (done.returncode, done.stderr) == (0, "")
    return [(line[0], line[1], sorted(line[2]), line[3]) for line in map(json.loads, done.stdout.splitlines())]


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_a_bomb_in_a_long_name(kind: bytes, tiny: Members, tmp_path: Path) -> None:
    """A few megabytes of gzip that become a name of four gigabytes."""
    size_bytes = 2**32
    zeros = gzip.compress(bytes(2**24), 1)
    source = tmp_path / "sa_000000.tar"
    with source.open("wb") as file:
        file.write(gzip.compress(b"".join(entries(tiny)) + entry("@", kind=kind, size_bytes=size_bytes), 1))
        for _ in range(size_bytes // 2**24):
            file.write(zeros)
    for place, policy, ids, error in read_in_process(source):
        assert error.startswith(f"{place}: ") or (policy == "skip" and ids == [1, 2, 3])


# ------------------------------------------------------------------------------------------------ whole archives


def no_archive(tmp_path: Path) -> str:
    return str(tmp_path / "sa_000000.tar")


def empty_folder(tmp_path: Path) -> str:
    (tmp_path / "sa_000000").mkdir()
    return str(tmp_path / "sa_000000")


def folder_of_others(tmp_path: Path) -> str:
    return pack_folder(tmp_path, {"cat.jpg": b"x", "a/readme.txt": b"x", "cat.json": b"{}"})


def tar_of_others(tmp_path: Path) -> str:
    return pack_tar(tmp_path, {"cat.jpg": b"x", "a/readme.txt": b"x"})


def gzip_of_others(tmp_path: Path) -> str:
    return pack_gzip(tmp_path, {"cat.jpg": b"x", "a/readme.txt": b"x"})


def named(content: Callable[[bytes], bytes]) -> Callable[[Path], str]:
    def write(tmp_path: Path) -> str:
        path = tmp_path / "sa_000000.tar"
        path.write_bytes(content(tar_bytes(tiny_members(1))))
        return str(path)

    return write


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("sa_1.jpg", content)
    return file.getvalue()


def bad_name(tmp_path: Path) -> str:
    path = tmp_path / "sa 000000 (1).tar"
    path.write_bytes(tar_bytes(tiny_members(1)))
    return str(path)


NO_ARCHIVES: dict[str, tuple[Callable[[Path], str], str]] = {
    "missing file": (no_archive, "nothing there"),
    "missing URL": (lambda tmp_path: (tmp_path / "sa_000000.tar").as_uri(), "nothing there"),
    "unknown scheme": (lambda tmp_path: "nosuch://host/sa_000000.tar", "nosuch"),
    "empty folder": (empty_folder, "pairs of sa_N.jpg and sa_N.json"),
    "folder of other things": (folder_of_others, "pairs of sa_N.jpg and sa_N.json"),
    "tar of other things": (tar_of_others, "pairs of sa_N.jpg and sa_N.json"),
    "gzip of other things": (gzip_of_others, "pairs of sa_N.jpg and sa_N.json"),
    "tar of nothing": (named(lambda content: bytes(10240)), "pairs of sa_N.jpg and sa_N.json"),
    "file of no bytes": (named(lambda content: b""), "empty"),
    "text": (named(lambda content: b"file_name\tcdn_link\n" * 100), "tar"),
    "page": (named(lambda content: b"<html>please log in</html>".ljust(2000)), "tar"),
    "bzip2": (named(bz2.compress), "bzip2"),
    "xz": (named(lzma.compress), "xz"),
    "zip": (named(zipped), "zip"),
    "zstd": (named(lambda content: b"\x28\xb5\x2f\xfd" + content), "zstd"),
    "gzip of text": (named(lambda content: gzip.compress(b"hello" * 1000)), "tar"),
    "gzip of nothing": (named(lambda content: gzip.compress(b"")), "empty"),
    "gzip of gzip": (named(lambda content: gzip.compress(gzip.compress(content))), "tar"),
    "name with spaces": (bad_name, "'sa 000000 (1)'"),
}


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize(("make", "said"), NO_ARCHIVES.values(), ids=NO_ARCHIVES)
def test_what_is_no_archive(
    make: Callable[[Path], str], said: str, policy: str, run: Run, tmp_path: Path, published: Path
) -> None:
    source = make(tmp_path)
    outcome = check_refused(run, tmp_path, published, "--train", source, "--on-bad-record", policy)
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert "found" in outcome.error
    assert said in outcome.error
    assert outcome.hint


def test_a_bad_archive_is_found_before_a_good_one_is_built(
    run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    good, missing = pack_tar(tmp_path, members), tmp_path / "sa_000001.tar"
    outcome = check_refused(run, tmp_path, published, "--train", good, missing)
    assert outcome.error.startswith(f"error: {missing}: ")
    assert "images/s" not in outcome.err


def test_odd_files_in_a_folder(run: Run, members: Members, tmp_path: Path) -> None:
    source = Path(pack_folder(tmp_path, members))
    (source / "sa_7.jpg").symlink_to(source / "not-there.jpg")
    outcome = run("--train", source, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "sa_7.jpg" in outcome.error
    assert outcome.hint
    out = tmp_path / "out"
    assert run("--train", source, "--out", out, "--on-bad-record", "skip").code == 0
    assert ids_of(out) == ALL_IDS
    assert "sa_7.jpg" in [reject["member"] for reject in rejects_of(out)]


def test_a_named_pipe_in_a_folder_is_not_waited_for(members: Members, tmp_path: Path) -> None:
    source = Path(pack_folder(tmp_path, members))
    (source / "sa_2.jpg").unlink()
    os.mkfifo(source / "sa_2.jpg")
    outcome = run_process(["--train", source, "--out", tmp_path / "out", "--workers", 1], timeout_s=120)
    assert outcome.code == 1
    assert outcome.error.startswith(f"error: {source}: sa_2.jpg: ")
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------ harmless things


def shuffled(members: Members) -> Members:
    names = sorted(members, key=lambda name: (name.endswith(".jpg"), -int(name.split("_")[1].split(".")[0])))
    return {name: members[name] for name in names}


HARMLESS: dict[str, Callable[[Members], Members]] = {
    "as they are": dict,
    "below ./": lambda members: {f"./{name}": content for name, content in members.items()},
    "below a folder": lambda members: {f"sa_000000/{name}": content for name, content in members.items()},
    "below several folders": lambda members: {f"./{i % 3}/b/{n}": c for i, (n, c) in enumerate(members.items())},
    "all JSON first, from last to first": shuffled,
    "among other things": lambda members: {"a/readme.txt": b"x", **members, "LICENSE": b"y", "sa_1.txt": b"z"},
}


@each_pack
@pytest.mark.parametrize("arrange", HARMLESS.values(), ids=HARMLESS)
def test_order_folders_and_compression_change_nothing(
    arrange: Callable[[Members], Members],
    pack: Pack,
    run: Run,
    members: Members,
    tmp_path: Path,
    digest_without: Callable[..., str],
) -> None:
    outcome = run("--train", pack(tmp_path, arrange(members)), "--parts", 2, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert build_of(tmp_path / "out").name == digest_without()
    assert not (tmp_path / "out" / "rejects.jsonl").exists()


@pytest.mark.parametrize("name", ["sa_000000.tar", "sa_000000.tar.gz", "sa_000000.tgz"])
def test_the_content_says_whether_it_is_gzip_not_the_name(
    name: str, run: Run, members: Members, tmp_path: Path, digest_without: Callable[..., str]
) -> None:
    for compression, pack_bytes in PACK_BYTES.items():
        folder = tmp_path / compression
        folder.mkdir()
        (folder / name).write_bytes(pack_bytes(tar_bytes(members)))
        assert run("--train", folder / name, "--parts", 2, "--out", folder / "out").code == 0
        assert build_of(folder / "out").name == digest_without()


def test_bytes_after_the_image_do_no_harm(run: Run, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members | {"sa_2.jpg": members["sa_2.jpg"] + b"maker's note"})
    assert run("--train", source, "--out", tmp_path / "out").code == 0
    assert ids_of(tmp_path / "out") == ALL_IDS


# ------------------------------------------------------------------------------------------------ several archives


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("pack", [pack_tar, pack_gzip], ids=["tar", "gzip"])
def test_an_id_in_two_archives(pack: Pack, policy: str, run: Run, tiny: Members, tmp_path: Path) -> None:
    first = pack(tmp_path, tiny)
    second = tmp_path / "sa_000001.tar"
    second.write_bytes(tar_bytes(tiny_members(2, first_id=3)))
    out = tmp_path / "out"
    outcome = run("--train", first, second, "--out", out, "--on-bad-record", policy)
    assert outcome.code == 1
    assert "image id 3 once" in outcome.error
    assert first in outcome.error
    assert str(second) in outcome.error
    assert outcome.hint
    assert {path.name for path in out.glob("*")} <= {".asam_datasets"}


def test_the_same_archive_twice(run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source = pack_tar(tmp_path, members)
    (tmp_path / "other").mkdir()
    other = pack_gzip(tmp_path / "other", members)
    for again in (source, other, f"{tmp_path}/other/../sa_000000.tar"):
        outcome = check_refused(run, tmp_path, published, "--train", source, again)
        assert "sa_000000" in outcome.error
        assert str(again) in outcome.error
        assert outcome.hint


# ------------------------------------------------------------------------------------------------ captions and ids


BAD_CAPTIONS: dict[str, tuple[bytes, str]] = {
    "cut line": (b'{"img": "sa_1.jpg", "prompt": "a"}\n{"img": "sa_2.jp', "line 2"),
    "not JSON": (b"sa_1.jpg a photo\n", "line 1"),
    "a list": (b'\n\n[{"img": "sa_1.jpg", "prompt": "a"}]\n', "line 3"),
    "no prompt": (b'{"img": "sa_1.jpg"}\n', "line 1"),
    "null prompt": (b'{"img": "sa_1.jpg", "prompt": null}\n', "line 1"),
    "not UTF-8": (b'{"img": "sa_1.jpg", "prompt": "caf\xe9"}\n', "line 1"),
    "half a surrogate": (b'{"img": "sa_1.jpg", "prompt": "\\ud800"}\n', "line 1"),
    "in UTF-16": ('{"img": "sa_1.jpg", "prompt": "a"}\n'.encode("utf-16"), "line 1"),
    "two for one": (
        b'{"img": "sa_1.jpg", "prompt": "a dog"}\n{"img": "sa_2.jpg", "prompt": "b"}\n'
        b'{"img": "sa_1.jpg", "prompt": "a cat"}\n',
        "line 3",
    ),
}


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize(("content", "line"), BAD_CAPTIONS.values(), ids=BAD_CAPTIONS)
def test_a_bad_caption_file(
    content: bytes, line: str, policy: str, run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source, path = pack_tar(tmp_path, members), tmp_path / "captions.json"
    path.write_bytes(content)
    arguments = ["--train", source, "--captions", path, "--on-bad-record", policy]
    outcome = check_refused(run, tmp_path, published, *arguments)
    assert outcome.error.startswith(f"error: {path}: {line}: expected ")
    assert " found " in outcome.error
    assert outcome.hint


def test_a_missing_caption_file(run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source = pack_tar(tmp_path, members)
    for path in (tmp_path / "none.json", tmp_path):
        outcome = check_refused(run, tmp_path, published, "--train", source, "--captions", path)
        assert outcome.error.startswith(f"error: {path}: expected ")
        assert outcome.hint


UNKNOWN = ["sa_77.jpg", "sa_007.jpg", "sa_7.png", "cat.jpg", f"sa_{10**20}.jpg", "sa_٣.jpg", "a/sa_1.jpg"]


@each_pack
@pytest.mark.parametrize("name", UNKNOWN)
def test_a_caption_of_an_unknown_image(
    name: str,
    pack: Pack,
    run: Run,
    members: Members,
    tmp_path: Path,
    captions: Path,
    digest_without: Callable[..., str],
) -> None:
    """Record 7 is in the archive, so that `sa_007.jpg` nearly is its image."""
    source = pack(tmp_path, members | tiny_members(1, first_id=7))
    path, out = tmp_path / "captions.json", tmp_path / "out"
    path.write_text(captions.read_text() + json.dumps({"img": name, "prompt": "a photo"}) + "\n")
    outcome = run("--train", source, "--captions", path, "--out", out)
    assert outcome.code == 1
    assert name in outcome.error
    assert outcome.hint
    assert {path.name for path in out.glob("*")} <= {".asam_datasets"}
    outcome = run("--train", source, "--captions", path, "--out", out, "--on-bad-record", "skip", "--json")
    assert outcome.code == 0
    assert (json.loads(outcome.out)["captions"], json.loads(outcome.out)["rejected"]) == (6, 1)
    assert [reject["member"] for reject in rejects_of(out)] == [name]
    assert "left out" not in (out / "README.md").read_text("utf-8")


def test_captions_as_editors_leave_them(run: Run, members: Members, tmp_path: Path, captions: Path) -> None:
    """A byte-order mark, CRLF, blank lines, the same line twice, a caption of an image that `--ids` leaves out."""
    source, path, ids = pack_tar(tmp_path, members), tmp_path / "captions.json", tmp_path / "ids.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(captions.read_bytes().splitlines() * 2))
    ids.write_text("1\n2\n3\n")
    outcome = run("--train", source, "--captions", path, "--ids", ids, "--out", tmp_path / "out", "--json")
    assert (outcome.code, json.loads(outcome.out)["captions"]) == (0, 3)


BAD_IDS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ""),
    "blank": (b"\n \n", ""),
    "words": (b"1\nsa_2\n", "line 2"),
    "a decimal": (b"1.0\n", "line 1"),
    "below zero": (b"-1\n", "line 1"),
    "two on a line": (b"1 2\n", "line 1"),
    "superscript": ("1\n²\n".encode(), "line 2"),
    "not UTF-8": (b"\xff\xfe1\0", ""),
    "beyond int64": (b"1\n" + b"9" * 30 + b"\n", "line 2"),
    "beyond what Python parses": (b"9" * 5000, "line 1"),
    "the table of links": (b"file_name\tcdn_link\nsa_000000.tar\thttps://x\n", "line 1"),
}


@pytest.mark.parametrize(("content", "line"), BAD_IDS.values(), ids=BAD_IDS)
def test_a_bad_list_of_ids(
    content: bytes, line: str, run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source, path = pack_tar(tmp_path, members), tmp_path / "ids.txt"
    path.write_bytes(content)
    outcome = check_refused(run, tmp_path, published, "--train", source, "--ids", path)
    assert outcome.error.startswith(f"error: {path}: {line}")
    assert "expected" in outcome.error
    assert "found" in outcome.error
    assert outcome.hint


def test_a_missing_list_of_ids(run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source = pack_tar(tmp_path, members)
    for path in (tmp_path / "none.txt", tmp_path):
        outcome = check_refused(run, tmp_path, published, "--train", source, "--ids", path)
        assert outcome.error.startswith(f"error: {path}: expected ")
        assert outcome.error.count(str(path)) == 1
        assert outcome.hint


@each_pack
def test_ids_that_no_archive_has_are_reported(
    pack: Pack, run: Run, members: Members, tmp_path: Path, digest_without: Callable[..., str]
) -> None:
    source, path, out = pack(tmp_path, members), tmp_path / "ids.txt", tmp_path / "out"
    path.write_text("77\n6\n5\n1\n\n3\n1\n99\n")
    outcome = run("--train", source, "--ids", path, "--parts", 2, "--out", out)
    assert outcome.code == 0
    assert "2 of the ids asked for: 77, 99" in outcome.out
    assert ids_by_part(out) == [[1, 3], [5, 6]]
    assert build_of(out).name == digest_without(2, 4)
    assert json.loads(run("--train", source, "--ids", path, "--out", out, "--json").out)["missing_ids"] == [77, 99]


@each_pack
def test_ids_that_select_nothing(pack: Pack, run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source, path = pack(tmp_path, members), tmp_path / "ids.txt"
    path.write_text("77\n")
    outcome = check_refused(run, tmp_path, published, "--train", source, "--ids", path)
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert "--ids" in outcome.error + outcome.hint


def test_a_bad_record_that_is_not_asked_for(run: Run, members: Members, tmp_path: Path) -> None:
    source, path, out = pack_tar(tmp_path, members | {"sa_2.json": b"{"}), tmp_path / "ids.txt", tmp_path / "out"
    path.write_text("1\n3\n")
    assert run("--train", source, "--ids", path, "--out", out).code == 0
    assert ids_of(out) == [1, 3]


# ------------------------------------------------------------------------------------------------ the target


def test_out_is_a_file(run: Run, members: Members, tmp_path: Path) -> None:
    source, out = pack_tar(tmp_path, members), tmp_path / "file"
    out.write_text("mine")
    before = tree(tmp_path)
    for place in (out, out / "below"):
        outcome = run("--train", source, "--out", place)
        assert outcome.code == 1
        assert outcome.error.startswith(f"error: {place}: expected a folder")
        assert outcome.hint
        assert tree(tmp_path) == before


def test_out_holds_something_else(run: Run, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    others = {
        "an image": {"holiday.jpg": b"x"},
        "a readme": {"README.md": b"# Mine\n"},
        "another dataset": {"README.md": b"---\nconfigs:\n- config_name: default\n  data_files: x\n---\n"},
        "broken YAML": {"README.md": b"---\nconfigs: [\n---\n"},
        "no text": {"README.md": b"\xff\xfe\xff"},
        "a list": {"README.md": b"---\n- a\n- b\n---\n"},
        "paths that are numbers": {
            "README.md": b"---\nconfigs:\n- config_name: train\n  data_files:\n  - path: [1]\n---\n"
        },
        "paths that leave": {
            "README.md": b"---\nconfigs:\n- config_name: train\n  data_files:\n  - path: [../../x/*]\n---\n"
        },
        "data of somebody": {"data/train.csv": b"a,b\n"},
    }
    for number_of_case, (name, files) in enumerate(others.items()):
        out = tmp_path / f"out-{number_of_case}"
        for path, content in files.items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_bytes(content)
        before = tree(out)
        outcome = run("--train", source, "--out", out)
        assert (name, outcome.code) == (name, 1)
        assert outcome.error.startswith(f"error: {out}")
        assert outcome.hint
        assert tree(out) == before


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no build.json": lambda build: (build / "build.json").unlink(),
    "cut build.json": lambda build: (build / "build.json").write_bytes((build / "build.json").read_bytes()[:50]),
    "build.json of another version": lambda build: (build / "build.json").write_text('{"format": 9}'),
    "no build at all": lambda build: shutil.rmtree(build),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_dataset_that_was_changed_by_hand(
    damage: Callable[[Path], object], run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source, out = pack_tar(tmp_path, members), tmp_path / "out"
    shutil.copytree(published, out)
    damage(next((out / "data" / "train").iterdir()))
    before = files(out)
    outcome = run("--train", source, "--out", out)
    assert outcome.code == 1
    assert "build.json" in outcome.error
    assert outcome.hint
    assert files(out) == before


def test_a_part_that_is_gone_is_made_again(run: Run, members: Members, tmp_path: Path) -> None:
    source, out = pack_tar(tmp_path, members), tmp_path / "out"
    assert run("--train", source, "--out", out).code == 0
    before = tree(out)
    (part,) = parts_of(out)
    part.unlink()
    assert run("--train", source, "--out", out).code == 0
    assert tree(out) == before


def test_a_disk_that_is_full(members: Members, tmp_path: Path, published: Path) -> None:
    """No file may be larger than 64 kB here, as if the disk had no more room."""
    source, out = pack_tar(tmp_path, members), tmp_path / "out"
    shutil.copytree(published, out)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))

    outcome = run_process(["--train", source, "--out", out, "--workers", 1], preexec_fn=limit)
    assert outcome.code == 1
    assert str(out) in outcome.error
    assert outcome.hint
    assert tree(out) == tree(published)


def test_rejects_that_cannot_be_written(run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source = pack_tar(tmp_path, members | {"sa_2.json": b"{"})
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "taken", Path(source) / "below"):
        arguments = ["--train", source, "--on-bad-record", "skip", "--rejects", path]
        outcome = check_refused(run, tmp_path, published, *arguments)
        assert str(path) in outcome.error
        assert outcome.hint


# ------------------------------------------------------------------------------------------------ usage


WRONG_USAGE: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "no target": ([], ("--out", "--repo-id")),
    "two targets": (["--out", "{tmp}/out", "--repo-id", "a/b"], ("--out", "--repo-id")),
    "no parts": (["--out", "{tmp}/out", "--parts", "0"], ("--parts", "0")),
    "parts below zero": (["--out", "{tmp}/out", "--parts", "-3"], ("--parts", "-3")),
    "no workers": (["--out", "{tmp}/out", "--workers", "0"], ("--workers", "0")),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage(arguments: list[str], said: tuple[str, ...], run: Run, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    before = tree(tmp_path)
    outcome = run("--train", source, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert outcome.code in (1, 2)
    assert outcome.out == ""
    assert all(word in outcome.err for word in said)
    assert "Traceback" not in outcome.err
    assert tree(tmp_path) == before


@pytest.mark.parametrize("arguments", [["--parts", "many"], ["--on-bad-record", "ignore"], ["--nonsense"], ["stray"]])
def test_arguments_that_do_not_parse(arguments: list[str], run: Run, members: Members, tmp_path: Path) -> None:
    outcome = run("--train", pack_tar(tmp_path, members), "--out", tmp_path / "out", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert arguments[0] in outcome.err
    assert not (tmp_path / "out").exists()


@each_pack
def test_more_parts_than_records(pack: Pack, run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source = pack(tmp_path, members)
    outcome = check_refused(run, tmp_path, published, "--train", source, "--parts", 7)
    assert "(6)" in outcome.error
    assert "--parts 7" in outcome.error
    assert outcome.hint


@pytest.mark.parametrize(
    "arguments", [["--parts", "7"], ["--out", "{tmp}/file"], ["--captions", "{tmp}/none.json"]], ids=lambda a: a[0]
)
def test_a_dry_run_finds_what_the_run_would_stop_at(
    arguments: list[str], run: Run, members: Members, tmp_path: Path
) -> None:
    source = pack_tar(tmp_path, members)
    (tmp_path / "file").write_text("mine")
    before = tree(tmp_path)
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    outcome = run("--train", source, "--out", tmp_path / "out", *given, "--dry-run")
    assert outcome.code == 1
    assert outcome.error
    assert tree(tmp_path) == before


# ------------------------------------------------------------------------------------------------ the network


@dataclass
class Site:
    """A web server that answers with the first bytes of a file, and then no more."""

    url: str
    requests: list[str]


@pytest.fixture
def failing_site() -> Iterator[Callable[[bytes, int], Site]]:
    """`failing_site(content, limit)`: every answer ends `limit` bytes into the content, by a lost connection."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(content: bytes, limit: int) -> Site:
        requests: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(b"", len(content), 200)

            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                requests.append(wanted)
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                start, stop = int(first or 0), min(int(last or len(content)) + 1, len(content))
                if wanted and start >= limit:
                    self._answer(b"", 0, 503)
                else:
                    self._answer(content[start : min(stop, limit)], stop - start, 206 if wanted else 200)

            def _answer(self, body: bytes, length: int, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.send_header("Accept-Ranges", "bytes")
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return Site(f"http://127.0.0.1:{server.server_address[1]}", requests)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def refusing_site() -> Iterator[Callable[[int], str]]:
    """`refusing_site(status)`: the address of a web server that has this one answer."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(status: int) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_error(status)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_lost_connection_is_not_a_truncated_archive(
    policy: str, members: Members, tmp_path: Path, failing_site: Callable[[bytes, int], Site]
) -> None:
    """Even with `skip`: what the network withholds is in the archive, and must not be left out of the dataset."""
    pieces = entries(members)
    padding = entry("notes.bin", bytes(24 * 2**20))  # more than is read ahead
    content = b"".join([*pieces[:6], padding, *pieces[6:], ENDING])
    site = failing_site(content, len(content) * 9 // 10)
    source, out = f"{site.url}/sa_000000.tar", tmp_path / "out"
    arguments = ["--train", f"{source}?token=hunter2", "--out", out, "--workers", 1, "--on-bad-record", policy]
    outcome = run_process(arguments, timeout_s=300)
    assert outcome.code == 1
    assert outcome.error.startswith(f"error: {source}: ")
    assert outcome.error.count(site.url) == 1
    assert "end-of-archive" not in outcome.error
    assert "etwork" in outcome.hint
    assert "hunter2" not in outcome.out + outcome.err
    assert not out.exists()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_an_address_that_is_refused(
    status: int, run: Run, tmp_path: Path, published: Path, refusing_site: Callable[[int], str]
) -> None:
    source = f"{refusing_site(status)}/sa_000000.tar"
    outcome = check_refused(run, tmp_path, published, "--train", f"{source}?token=hunter2")
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert ("nothing there" in outcome.error) == (status == 404)
    assert str(status) in outcome.error or status == 404
    assert "hunter2" not in outcome.error + outcome.hint
    assert outcome.hint


def test_a_password_in_an_address_is_not_repeated(run: Run, tmp_path: Path, published: Path) -> None:
    outcome = check_refused(run, tmp_path, published, "--train", "http://me:hunter2@127.0.0.1:9/sa_000000.tar")
    assert "127.0.0.1:9/sa_000000.tar" in outcome.error
    assert "hunter2" not in outcome.err


def test_an_archive_on_a_hub_that_is_not_there(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")}
    source = "hf://datasets/nobody/nothing/sa_000000.tar"
    outcome = run_process(["--train", source, "--out", tmp_path / "out", "--workers", 1], env=environment)
    assert outcome.code == 1
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert "etwork" in outcome.hint
    assert not (tmp_path / "out").exists()


def test_a_host_that_is_not_there(run: Run, tmp_path: Path, published: Path) -> None:
    source = "http://127.0.0.1:9/sa_000000.tar"
    outcome = check_refused(run, tmp_path, published, "--train", f"{source}?X-Amz-Signature=hunter2")
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert "nothing there" not in outcome.error  # nobody knows what is there
    assert "hunter2" not in outcome.error + outcome.hint
    assert outcome.hint


# ------------------------------------------------------------------------------------------------ the real command line


def test_the_real_command_line_with_two_workers(members: Members, tmp_path: Path) -> None:
    """The same promise across process borders: errors come home, and nothing stays behind."""
    spoiled = edited(members, "sa_2.json", put(f"{A}.segmentation.counts", "~"))
    source, out = pack_tar(tmp_path, spoiled), tmp_path / "out"
    outcome = run_process(["--train", source, "--out", out, "--workers", 2])
    assert outcome.code == 1
    assert outcome.error.startswith(f"error: {source}: sa_2.json: $.{A}.segmentation.counts: expected ")
    assert outcome.hint
    assert not out.exists()


def test_two_workers_leave_out_what_one_does(
    members: Members, tmp_path: Path, digest_without: Callable[..., str]
) -> None:
    spoiled = edited(members, "sa_2.json", put(f"{A}.segmentation.counts", "~"))
    for pack in (pack_tar, pack_gzip):
        folder = tmp_path / pack.__name__
        folder.mkdir()
        out = folder / "out"
        arguments = ["--train", pack(folder, spoiled), "--out", out, "--parts", 2, "--workers", 2]
        outcome = run_process([*arguments, "--on-bad-record", "skip"])
        assert outcome.code == 0
        assert build_of(out).name == digest_without(2)
        assert len(rejects_of(out)) == 1
