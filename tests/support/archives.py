"""Archives to try readers on: the demo's images in every packing, and pieces of tar that no writer would write."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from asam_datasets.demo import draw_record, write_demo

Members: TypeAlias = dict[str, bytes]
"""Contents by name, in the order of the archive."""

Pack: TypeAlias = Callable[[Path, Members], str]
"""Writes members below a folder and returns what `--train` takes; the archive is always called `sa_000000`."""

ZEROS = bytes(tarfile.BLOCKSIZE)
ENDING = 2 * ZEROS


# ------------------------------------------------------------------------------------------------ members


def demo_members(folder: Path) -> Members:
    """The members of a demo of six images: `sa_1.jpg`, `sa_1.json`, ..."""
    demo = write_demo(folder, height=192, width=256, images=6)
    with tarfile.open(demo.archive) as tar:
        return {member.name.removeprefix("./"): tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def tiny_members(count: int, first_id: int = 1) -> Members:
    """Images of some kilobytes, for what has to be done hundreds of times."""
    members: Members = {}
    for image_id in range(first_id, first_id + count):
        jpeg, table = draw_record(image_id, height=64, width=64, masks=2, seed=0)
        members |= {f"sa_{image_id}.jpg": jpeg, f"sa_{image_id}.json": table}
    return members


def without(members: Members, *image_ids: int) -> Members:
    """The members of the other images."""
    gone = {f"sa_{image_id}.{ending}" for image_id in image_ids for ending in ("jpg", "json")}
    return {name: content for name, content in members.items() if name not in gone}


def edited(members: Members, name: str, edit: Callable[[Any], object]) -> Members:
    """The members with one JSON changed in place by `edit`."""
    table = json.loads(members[name])
    edit(table)
    return members | {name: json.dumps(table).encode()}


def put(place: str, value: object) -> Callable[[Any], None]:
    """An edit: set what stands at a place such as `annotations[3].area`."""
    *way, last = _steps(place)

    def edit(table: Any) -> None:
        for step in way:
            table = table[step]
        table[last] = value

    return edit


def drop(place: str) -> Callable[[Any], None]:
    """An edit: leave a field out."""
    *way, last = _steps(place)

    def edit(table: Any) -> None:
        for step in way:
            table = table[step]
        del table[last]

    return edit


def encode_runs(runs: list[int]) -> str:
    """COCO's compressed counts of these runs, whether they add up or not (`rleToString` of `maskApi.c`)."""
    characters = bytearray()
    for position, run in enumerate(runs):
        rest = run - runs[position - 2] if position > 2 else run
        more = True
        while more:
            group, rest = rest & 0x1F, rest >> 5
            more = rest != (-1 if group & 0x10 else 0)
            characters.append(48 + group + 0x20 * more)
    return characters.decode("ascii")


def _steps(place: str) -> list[str | int]:
    return [int(step) if step.isdigit() else step for step in re.findall(r"\w+", place)]


# ------------------------------------------------------------------------------------------------ tars by hand


def entry(
    name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, target: str = "", size_bytes: int | None = None
) -> bytes:
    """One member: header, content, padding. `size_bytes` is what the header claims, when that is to be a lie."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = len(content) if size_bytes is None else size_bytes
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def entries(members: Members | Iterable[tuple[str, bytes]]) -> list[bytes]:
    """Each member as its piece of a tar."""
    return [entry(*member) for member in (members.items() if isinstance(members, dict) else members)]


def tar_bytes(members: Members | Iterable[tuple[str, bytes]]) -> bytes:
    """A whole tar with nothing but these members."""
    return b"".join(entries(members)) + ENDING


def checksummed(header: bytes) -> bytes:
    """A header of 512 bytes that was changed by hand, with the checksum that fits."""
    blank = header[:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


# ------------------------------------------------------------------------------------------------ packing


def pack_tar(folder: Path, members: Members) -> str:
    """A plain tar."""
    path = folder / "sa_000000.tar"
    path.write_bytes(tar_bytes(members))
    return str(path)


def pack_folder(folder: Path, members: Members) -> str:
    """A folder."""
    top = folder / "sa_000000"
    top.mkdir()
    for name, content in members.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return str(top)


def pack_gzip(folder: Path, members: Members) -> str:
    """Gzip under the name of a plain tar."""
    path = folder / "sa_000000.tar"
    path.write_bytes(gzip.compress(tar_bytes(members), 1))
    return str(path)


def pack_url(folder: Path, members: Members) -> str:
    """A plain tar behind a URL, which is read as a stream."""
    return Path(pack_tar(folder, members)).as_uri()


PACKS: dict[str, Pack] = {"tar": pack_tar, "folder": pack_folder, "gzip": pack_gzip, "url": pack_url}


# ------------------------------------------------------------------------------------------------ looking at results


def tree(folder: Path) -> dict[str, str]:
    """What lies in a folder: sha256 by path, `folder` for folders, nothing at all for a folder that is not there."""
    return dict(_tree(folder))


def _tree(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(".locks"):
            continue  # empty files that locks are on; taking one away would break another's
        yield name, "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
