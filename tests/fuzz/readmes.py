"""README of a published folder: judged by libyaml, which is another parser, and by whether each path stays inside."""

from __future__ import annotations

import random
import re
import tempfile
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from archives import pack_tar, tiny_members

from asam_datasets.errors import AsamDatasetsError
from asam_datasets.publish import PublishOptions, publish
from asam_datasets.published import open_dataset, verify
from fuzz import mutate
from fuzz.target import Target, refused


@lru_cache(maxsize=1)
def dataset() -> Path:
    """A published folder of a run of two archives, and one of a third; the executions change its files and put them
    back."""
    folder = Path(tempfile.mkdtemp(prefix="published-"))
    names = []
    for number in range(3):
        (folder / str(number)).mkdir()
        path = pack_tar(folder / str(number), tiny_members(2, first_id=10 * number))
        names.append(f"sa_00000{number}={path}")
    for some in (names[:2], names[2:]):
        publish(PublishOptions(some, out=folder / "out", workers=1, parts=1))
    return folder / "out"


@lru_cache(maxsize=1)
def original() -> str:
    """Its README, before anything was tried."""
    return (dataset() / "README.md").read_text("utf-8")


@lru_cache(maxsize=1)
def seed_text() -> str:
    """Its README, with less of what is not YAML."""
    text = original()
    end = text.index("\n---", 4) + 5
    return text[: end + 300]


ODD = (
    *(
        "&a",
        "*a",
        "<<: *a",
        "!!int x",
        "!!python/object:os.system",
        "!!binary ^",
        "2026-02-30",
        "? ",
        "|",
        ">",
        "[",
        "{",
    ),
    *(
        "- [",
        "~",
        "null",
        "5",
        "1_000",
        "0o7",
        "1:20:30",
        ".inf",
        "---",
        "...",
        "%YAML 9",
        "\t",
        "\0",
        "\x85",
        "\ufeff",
    ),
    *(
        "../..",
        "/etc/*",
        "data/train/../../x-0123456789abcdef/*.parquet",
        "data/**",
        "data/train/*/**/part-*.parquet",
        "data/train/*-r0123456789ab/**/part-*.parquet",
        "data/../x-0123456789abcdef/part-*.parquet",
        "data/train/**/-none-*.parquet",
        "[" * 300,
        "1" * 5000,
        "a: " * 50,
    ),
)


def _text(rng: random.Random) -> bytes:
    lines = seed_text().split("\n")
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[rng.randrange(len(lines))] if lines else "")
        elif kind == 2:
            lines[at] = rng.choice((" ", "  ", "- ")) + lines[at]
        elif kind == 3:
            lines[at] = re.sub(r":.*|- .*", lambda found: found[0][:2] + rng.choice(ODD), lines[at])
        elif kind == 4:
            lines[at] += rng.choice(ODD)
        else:
            lines[at] = rng.choice(ODD)
        lines = lines or [""]
    data = rng.choice(("\n", "\n", "\n", "\r\n", "\r")).join(lines).encode("utf-8", "surrogatepass")
    return mutate.blob(rng, data) if rng.random() < 0.3 else data


def try_one(rng: random.Random) -> bool:
    """One README, opened as readers do; sometimes verified as well."""
    text = _text(rng)
    readme = dataset() / "README.md"
    readme.write_bytes(text)
    try:
        found = open_dataset(dataset())
        if rng.random() < 0.2:
            verify(str(dataset()))
    except AsamDatasetsError as error:
        return refused(error)
    assert {build.path for build in found.builds} == shown(text), "other builds than libyaml's patterns match"
    for build in found.builds:
        for part in found.parts(build):
            assert (dataset() / part.path).resolve().is_relative_to(dataset().resolve())
    return True


def shown(text: bytes) -> set[str]:
    """The folders of the parts that the patterns of a README match, among those that lie there."""
    patterns = _patterns(text)
    return {folder for folder, part in parts() if any(_matches(pattern, part) for pattern in patterns)}


def is_shown(folder: str, readme: str) -> bool:
    """Whether a part in a folder would match a pattern of a README."""
    return any(_matches(pattern, f"{folder}/part-000.parquet") for pattern in _patterns(readme.encode()))


def _patterns(text: bytes) -> list[str]:
    head = text.decode("utf-8", "replace").removeprefix("\ufeff")
    front = re.match(r"\s*---\r?[\n\r]?(.*?)[\r\n]+---", head, re.DOTALL)
    assert front
    configs: Any = yaml.load(front[1], yaml.CSafeLoader)["configs"]
    return [str(path) for config in configs for entry in config["data_files"] for path in entry["path"]]


@lru_cache(maxsize=1)
def parts() -> list[tuple[str, str]]:
    """Folder and path of each part below the dataset."""
    found = [path.relative_to(dataset()) for path in sorted(dataset().rglob("*.parquet"))]
    return [(path.parent.as_posix(), path.as_posix()) for path in found]


def _matches(pattern: str, path: str) -> bool:
    pieces, steps = [piece for piece in pattern.split("/") if piece not in ("", ".")], path.split("/")
    if pieces[-2:-1] == ["**"]:  # nothing lies deeper
        del pieces[-2]
    return len(pieces) == len(steps) and all(map(fnmatchcase, steps, pieces))


TARGET = Target("readme", try_one, share=30_000, short=60, prepare=seed_text)
