"""What is no archive, what does an archive no harm, and several archives that do not go together."""

import bz2
import gzip
import io
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import (
    Members,
    Pack,
    pack_folder,
    pack_gzip,
    pack_tar,
    tar_bytes,
    tiny_members,
)
from bad_input import ALL_IDS, PACK_BYTES, Run, build_of, check_refused, each_pack, ids_of, rejects_of, run_process
from bad_input import _own_temporary_folder as _own_temporary_folder
from bad_input import digest_without as digest_without
from bad_input import members as members
from bad_input import published as published
from bad_input import run as run
from bad_input import tiny as tiny

# ------------------------------------------------------------------------------------------------ whole archives


def no_archive(tmp_path: Path) -> str:
    return str(tmp_path / "sa_000000.tar")


def empty_folder(tmp_path: Path) -> str:
    (tmp_path / "sa_000000").mkdir()
    return str(tmp_path / "sa_000000")


def folder_of_others(tmp_path: Path) -> str:
    return pack_folder(tmp_path, {"cat.jpg": b"x", "a/readme.txt": b"x", "notes.json": b"{}"})


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
    "folder of other things": (folder_of_others, "images with annotations"),
    "tar of other things": (tar_of_others, "images with annotations"),
    "gzip of other things": (gzip_of_others, "pairs of sa_N.jpg and sa_N.json"),
    "tar of nothing": (named(lambda content: bytes(10240)), "pairs of sa_N.jpg and sa_N.json"),
    "file of no bytes": (named(lambda content: b""), "empty"),
    "text": (named(lambda content: b"file_name\tcdn_link\n" * 100), "tar"),
    "page": (named(lambda content: b"<html>please log in</html>".ljust(2000)), "tar"),
    "bzip2": (named(bz2.compress), "bzip2"),
    "xz": (named(lzma.compress), "xz"),
    "zip that was cut": (named(lambda content: zipped(content)[:-30]), "zip"),
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
