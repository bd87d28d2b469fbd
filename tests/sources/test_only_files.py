"""What folders have besides files of their own: links that lead out, pipes and devices, folders that cannot be read."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archives import Members, pack_folder, pack_tar, tiny_members
from bad_input import Run, ids_of, rejects_of
from bad_input import _own_temporary_folder as _own_temporary_folder
from bad_input import run as run
from evaluation_trees import TREES

from asam_datasets.errors import AsamDatasetsError, CaptionsError, CatalogError, SourceError
from asam_datasets.machine import leads_out, read_file
from asam_datasets.organized import organize
from asam_datasets.sources import AdversarialSource, BadRecords, read_captions, read_ids
from asam_datasets.sources.evaluation import EvaluationSource, load_catalog, open_evaluation
from asam_datasets.sources.sa1b import (
    FolderSource,
    IndexedSource,
    check_organized,
    find_archives,
    find_captions,
    open_source,
)

ZERO = "/dev/zero"


@pytest.fixture
def members() -> Members:
    return tiny_members(3)


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """What would hang ends here: nothing below waits for anybody."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 60


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def zero(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(ZERO)


ENDLESS: dict[str, Callable[[Path], None]] = {"pipe": pipe, "link to a device": zero}
each_endless = pytest.mark.parametrize("spoil", ENDLESS.values(), ids=ENDLESS)


# ------------------------------------------------------------------------------------------------ one function


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_file(tmp_path / "file", limit_bytes=5) == b"12345"
    with pytest.raises(OSError, match="over 4 bytes"):
        read_file(tmp_path / "file", limit_bytes=4)
    pipe(tmp_path / "pipe")
    for path, said in ((tmp_path / "pipe", "a named pipe"), (Path(ZERO), "a device"), (tmp_path, "a folder")):
        with pytest.raises(OSError, match=said):
            read_file(path, limit_bytes=5)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none", limit_bytes=5)


def test_where_links_lead(tmp_path: Path) -> None:
    for name in ("top/a", "top2/b"):
        (tmp_path / name).mkdir(parents=True)
    top = tmp_path / "top"
    (top / "in").symlink_to("a")
    (top / "out").symlink_to("../top2")
    (top / "far").symlink_to(tmp_path / "top2/b")
    (top / "self").symlink_to(".")
    (tmp_path / "given").symlink_to("top")
    for given in (top, tmp_path / "given"):
        assert not any(leads_out(given, given / name) for name in ("a", "in", "in/x", "none", "self", "self/in/y", ""))
        assert all(leads_out(given, given / name) for name in ("out", "far", "out/b", "self/out", "a/../out"))


# ------------------------------------------------------------------------------------------------ archives


@pytest.mark.parametrize("place", ["sa_2.jpg", "sa_2.json"])
def test_a_private_file_behind_a_link_is_not_published(place: str, run: Run, members: Members, tmp_path: Path) -> None:
    """A JPEG of somebody else, which happens to be the right one: it was not given."""
    source = Path(pack_folder(tmp_path, members))
    private = tmp_path / "private"
    private.mkdir()
    shutil.move(source / place, private / place)
    (source / place).symlink_to(private / place)
    stopped = run("--train", source, "--out", tmp_path / "out")
    assert stopped.code == 1
    assert stopped.error == f"error: {source}: {place}: expected a regular file, found a link out of the folder"
    assert "Give what the link points to" in stopped.hint
    assert not (tmp_path / "out").exists()
    assert run("--train", source, "--out", tmp_path / "out", "--on-bad-record", "skip").code == 0
    assert ids_of(tmp_path / "out") == [1, 3]
    assert place in [reject["member"] for reject in rejects_of(tmp_path / "out")]


def test_links_inside_a_folder_are_fine(run: Run, members: Members, tmp_path: Path) -> None:
    source = Path(pack_folder(tmp_path, members))
    (source / "pool").mkdir()
    shutil.move(source / "sa_2.jpg", source / "pool/two")
    (source / "sa_2.jpg").symlink_to("pool/two")
    (source / "again").symlink_to("pool")
    (tmp_path / "sa_000001").symlink_to(source)  # what was given may be a link itself
    assert run("--train", tmp_path / "sa_000001", "--out", tmp_path / "out").code == 0
    (folder,) = (tmp_path / "out/data/train").glob("*")
    assert folder.name.startswith("sa_000000-")


def test_a_linked_folder_outside_is_told(run: Run, members: Members, tmp_path: Path) -> None:
    source = Path(pack_folder(tmp_path, {name: members[name] for name in ("sa_1.jpg", "sa_1.json")}))
    (tmp_path / "others").mkdir()
    for name in ("sa_2.jpg", "sa_2.json"):
        (tmp_path / "others" / name).write_bytes(members[name])
    (source / "more").symlink_to(tmp_path / "others")
    stopped = run("--train", source, "--out", tmp_path / "out")
    assert stopped.error == f"error: {source}: more: expected folders of the archive, found a link out of it"
    assert run("--train", source, "--out", tmp_path / "out", "--on-bad-record", "skip").code == 0
    assert ids_of(tmp_path / "out") == [1]
    assert [reject["member"] for reject in rejects_of(tmp_path / "out")] == ["more"]


def test_a_link_that_came_after_the_index(members: Members, tmp_path: Path) -> None:
    source = FolderSource(Path(pack_folder(tmp_path, members)), "sa_000000")
    ref = source.index(BadRecords()).records[0]
    shutil.copy(source.path / "sa_1.jpg", tmp_path / "private.jpg")
    (source.path / "sa_1.jpg").unlink()
    (source.path / "sa_1.jpg").symlink_to(tmp_path / "private.jpg")
    with pytest.raises(SourceError, match="expected a regular file, found a link out of the folder"):
        source.read(ref)


@each_endless
@pytest.mark.parametrize("name", ["sa_2.jpg", "sa_2.json"])
def test_what_has_no_end_in_an_archive(
    name: str, spoil: Callable[[Path], None], members: Members, tmp_path: Path
) -> None:
    source = FolderSource(Path(pack_folder(tmp_path, members)), "sa_000000")
    refs = source.index(BadRecords()).records
    spoil(source.path / name)
    with pytest.raises(AsamDatasetsError, match=rf"{name}: expected a regular file, found"):
        source.index(BadRecords())
    bad = BadRecords("skip")
    assert [ref.image_id for ref in source.index(bad).records] == [1, 3]
    with pytest.raises(SourceError, match="expected a re"):  # when it came after the index
        source.read(refs[1])


def test_tars_and_archives_behind_links(members: Members, tmp_path: Path) -> None:
    given, elsewhere = tmp_path / "given", tmp_path / "elsewhere"
    given.mkdir()
    elsewhere.mkdir()
    tar = Path(pack_tar(elsewhere, members))
    (given / "sa_000000.tar").symlink_to(tar)
    with pytest.raises(SourceError, match=r"given/sa_000000.tar: expected files of the folder, found a link out of it"):
        find_archives(given)
    assert open_source(given / "sa_000000.tar").name == "sa_000000"  # given by itself
    (given / "sa_000000.tar").unlink()
    shutil.unpack_archive(tar, elsewhere / "sa_000000")
    (given / "sa_000000").symlink_to(elsewhere / "sa_000000")
    with pytest.raises(SourceError, match=r"given/sa_000000: expected files of the folder"):
        find_archives(given)


# ------------------------------------------------------------------------------------------------ organised folders


@pytest.fixture
def organised(members: Members, tmp_path: Path) -> Path:
    captions = tmp_path / "captions.json"
    captions.write_text("".join(f'{{"img": "sa_{n}.jpg", "prompt": "a photo"}}\n' for n in (1, 2, 3)))
    organize([pack_tar(tmp_path, members)], tmp_path / "org", captions=[captions], workers=1)
    return tmp_path / "org"


@each_endless
@pytest.mark.parametrize("name", ["sa_1/segmentation_0.png", "sa_1.png"])
def test_what_has_no_end_among_masks(name: str, spoil: Callable[[Path], None], organised: Path) -> None:
    """It is another mask than the JSON says, as any file that is none."""
    source = FolderSource(organised / "sa_000000", "sa_000000")
    refs = source.index(BadRecords()).records
    assert not list(check_organized(source, refs))
    spoil(source.path / name)
    told = [one for one in check_organized(source, refs) if one.member == name]
    if name == "sa_1.png":
        assert not told  # no file: as if there was none
    else:
        assert "expected a JPEG or PNG, found 0 bytes" in told[0].problem.replace("PNG or JPEG", "JPEG or PNG")


@each_endless
def test_what_has_no_end_among_captions(spoil: Callable[[Path], None], organised: Path) -> None:
    listed = organised / "sa_000000-blip2-caption.json"
    assert listed in find_captions(organised)
    spoil(listed)
    with pytest.raises(CaptionsError, match=f"{listed}: expected a caption file, found: a"):
        read_captions([listed])
    with pytest.raises(SourceError, match=f"{listed}: expected a list of image ids, found: a"):
        read_ids(listed)
    with pytest.raises(CatalogError, match=f"{listed}: expected a readable TOML file, found: a"):
        load_catalog([listed])


def test_a_caption_file_behind_a_link_is_not_read(organised: Path, tmp_path: Path) -> None:
    listed = organised / "sa_000000-blip2-caption.json"
    shutil.move(listed, tmp_path / "private.json")
    listed.symlink_to(tmp_path / "private.json")
    with pytest.raises(SourceError, match=f"{listed}: expected files of the folder, found a link out of it"):
        find_captions(organised)


def test_large_caption_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "captions.json"
    with path.open("wb") as file:
        file.truncate(2**27 + 1)
    with pytest.raises(CaptionsError, match=r"expected a caption file, found: over 134217728 bytes") as caught:
        read_captions([path])
    assert "several files" in caught.value.hint
    line = b'{"img": "sa_%d.jpg", "prompt": "a\\u000ab"}'
    path.write_bytes(b"\n\r\r\n" * 5 + line % 1 + b"\r\n\r\n" + line % 2)
    assert read_captions([path]) == {"sa_1.jpg": "a\nb", "sa_2.jpg": "a\nb"}


# ------------------------------------------------------------------------------------------------ evaluation sets


def names_of(source: EvaluationSource, bad: BadRecords) -> list[str]:
    names = []
    for ref in source.index(bad):
        try:
            found = source.read(ref)
        except AsamDatasetsError as error:
            bad.reject(error, archive=source.label, member=ref.file_name)
        else:
            names += [ref.file_name] if found.record else []
    return names


SETS = [
    ("hrsod_te", "HRSOD_test/1001_abc_o.jpg", 1),
    ("hrsod_te", "HRSOD_test_mask/1001_abc_o.png", 1),
    ("coco2017_val", "val2017/000000000139.jpg", 1),
    ("coco2017_val", "annotations/instances_val2017.json", 0),
    ("voc2012", "ImageSets/Segmentation/val.txt", 0),
    ("hypersim", "metadata_images_split_scene_v1.csv", 0),
]


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@pytest.mark.parametrize(("identity", "name", "lost"), SETS)
def test_files_of_a_set_behind_links(identity: str, name: str, lost: int, tmp_path: Path) -> None:
    root = tmp_path / "set"
    TREES[identity](root)
    source = open_evaluation(load_catalog()[identity], root)
    before = names_of(source, BadRecords())
    shutil.move(root / name, tmp_path / "private")
    (root / name).symlink_to(tmp_path / "private")
    with pytest.raises(AsamDatasetsError, match="expected a file of the set, found a link out of its folder") as caught:
        names_of(source, BadRecords())
    assert name in str(caught.value)
    if lost:
        bad = BadRecords("skip")
        assert len(names_of(source, bad)) == len(before) - lost
        assert len(bad.rejects) == lost
    # The same link, but inside.
    (root / name).unlink()
    shutil.move(tmp_path / "private", root / ".kept")
    (root / name).symlink_to(root / ".kept")
    assert names_of(source, BadRecords()) == before


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@each_endless
@pytest.mark.parametrize(("identity", "name", "lost"), SETS[:4])
def test_what_has_no_end_in_a_set(
    identity: str, name: str, lost: int, spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    TREES[identity](tmp_path)
    source = open_evaluation(load_catalog()[identity], tmp_path)
    refs = source.index(BadRecords())
    spoil(tmp_path / name)
    for ref in refs:
        if name in (ref.file_name, *ref.masks):
            with pytest.raises(AsamDatasetsError, match="expected a "):
                source.read(ref)
    with pytest.raises(AsamDatasetsError, match="expected "):
        names_of(source, BadRecords())
    if lost:
        assert names_of(source, BadRecords("skip"))


# ------------------------------------------------------------------------------------------------ adversarial samples


@pytest.mark.parametrize("name", ["adv/sa_1.png", "record/sa_1.txt"])
def test_adversarial_samples_behind_links(name: str, tmp_path: Path) -> None:
    from PIL import Image

    root = tmp_path / "samples"
    for folder in ("adv", "record"):
        (root / folder).mkdir(parents=True)
    for number in (1, 2):
        Image.new("RGB", (4, 4)).save(root / f"adv/sa_{number}.png")
        (root / f"record/sa_{number}.txt").write_text("0.5")
    source = AdversarialSource(root)
    refs = source.index(BadRecords())
    shutil.move(root / name, tmp_path / "private")
    (root / name).symlink_to(tmp_path / "private")
    with pytest.raises(AsamDatasetsError, match=f"{name}: expected files of the folder, found a link out of it"):
        source.index(BadRecords())
    assert [ref.image_id for ref in source.index(BadRecords("skip"))] == [2]
    pipe(root / name)
    with pytest.raises(SourceError, match="expected a readable file, found: a named pipe"):
        source.read(refs[0])


# ------------------------------------------------------------------------------------------------ folders, changes


def unreadable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that the system refuses to list, also to somebody who may do anything."""
    real: Any = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(os.fsdecode(path) if not isinstance(path, int) else str(path)) == folder:
            raise PermissionError(13, "Permission denied", str(folder))
        return real(path)

    def listdir(path: Any = ".") -> Any:
        with scandir(path) as entries:
            return [entry.name for entry in entries]

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "listdir", listdir)


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_folder_that_cannot_be_read_is_an_error(
    policy: str, run: Run, members: Members, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`os.walk` passes over it in silence, and half of an archive was published."""
    source = Path(pack_folder(tmp_path, members))
    (source / "more").mkdir()
    shutil.move(source / "sa_2.jpg", source / "more")
    shutil.move(source / "sa_2.json", source / "more")
    for folder in (source / "more", source):
        unreadable(folder, monkeypatch)
        ran = run("--train", source, "--out", tmp_path / "out", "--on-bad-record", policy)
        assert ran.code == 1
        assert ran.error == f"error: {folder}: expected a readable folder, found: Permission denied"
        assert not (tmp_path / "out").exists()


def test_a_tar_that_is_replaced_while_it_is_read(members: Members, tmp_path: Path) -> None:
    """The places of members are those of the first; what lies there now may be anybody's, under the same names."""
    path = Path(pack_tar(tmp_path, members))
    source = open_source(path)
    assert isinstance(source, IndexedSource)
    refs = source.index(BadRecords()).records
    source.read(refs[0])
    with path.open("r+b") as file:  # in place, of the same size
        file.seek(refs[1].image.offset)
        file.write(b"x")
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    with pytest.raises(SourceError, match=r"bytes of sa_2\.jpg, found another tar") as caught:
        source.read(refs[1])
    assert "changed while it was read" in caught.value.hint
    source.close()
    other = tmp_path / "other"
    other.write_bytes(path.read_bytes())
    os.replace(other, path)
    with pytest.raises(SourceError, match="found another tar"):
        source.read(refs[0])
    source.close()
    assert source.index(BadRecords()).records == refs
    assert source.read(refs[0]).image_id == 1
    source.close()


def test_a_file_that_grows_while_its_folder_is_read(members: Members, tmp_path: Path) -> None:
    source = FolderSource(Path(pack_folder(tmp_path, members)), "sa_000000")
    refs = source.index(BadRecords()).records
    with (source.path / "sa_3.jpg").open("ab") as file:
        file.write(b"more")
    with pytest.raises(SourceError, match=r"sa_3.jpg: expected \d+ bytes as before, found \d+") as caught:
        source.read(refs[2])
    assert "changed while the archive was read" in caught.value.hint
    assert stat.S_ISREG((source.path / "sa_3.jpg").stat().st_mode)
