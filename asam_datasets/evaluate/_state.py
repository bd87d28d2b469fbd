"""What was scored, image by image: a file of JSON Lines that grows, and that a later run goes on from.

The first line has the settings. Each rank appends to a file of its own, `results.jsonl` and `results.rank-1.jsonl`, and
a line is there as a whole or, when the process was killed within it, dropped. In the end all lines are in
`results.jsonl`, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import msgspec

from asam_datasets.errors import SourceError, option
from asam_datasets.evaluate._options import Settings
from asam_datasets.machine import only_writer, write_atomically, write_errors

Key = tuple[str, int]
"""Config and row."""

RANK = re.compile(r"\.rank-[0-9]+$")
"""How the names of the files end in which ranks keep their lines, before `.jsonl`."""

_NOT_COMPARED = ("dataset", "model")
"""Where they lay: their revisions say what they are."""


class MaskScore(msgspec.Struct, frozen=True, omit_defaults=True):
    """The score of one mask, in whole pixels.

    Args:
        annotation: its place in the record.
        pixels: of each mask that the model gave, how many it shares with the true one, and how many both cover.
        chosen: which of them the model itself thinks best.
        boundary: the same two numbers of the boundaries of that one.
        is_lost: nothing was left of the mask at the size that the model sees, so there was no prompt.
    """

    annotation: int
    pixels: list[tuple[int, int]]
    chosen: int = 0
    boundary: tuple[int, int] | None = None
    is_lost: bool = False

    @property
    def iou(self) -> float:
        """Of the mask that the model itself thinks best, 0 … 1."""
        shared, covered = self.pixels[self.chosen]
        return shared / covered

    @property
    def best_iou(self) -> float:
        """Of the best mask, 0 … 1."""
        return max(shared / covered for shared, covered in self.pixels)


class ImageScore(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The scores of one image; `left_out` says why it has none."""

    config: str
    row: int
    image_id: str
    file_name: str
    masks: list[MaskScore] = []
    left_out: str = ""

    @property
    def key(self) -> Key:
        """Config and row."""
        return self.config, self.row


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    settings: Settings


def state_file(out: Path, rank: int = 0) -> Path:
    """The file that a rank appends to."""
    return out.with_name(f"{out.stem}.rank-{rank}.jsonl" if rank else f"{out.stem}.jsonl")


def read_states(out: Path, settings: Settings) -> dict[Key, ImageScore]:
    """What was scored before, by any rank of any run.

    Raises:
        SourceError: a file there has other settings, or is none of ours.
    """
    found: dict[Key, ImageScore] = {}
    for path in _state_files(out):
        for score in _read(path, settings)[0]:
            found.setdefault(score.key, score)
    return found


@contextmanager
def appending(out: Path, rank: int, settings: Settings) -> Iterator[Appender]:
    """The file of a rank, to append to. What a killed process left of a line is cut off.

    Raises:
        SourceError: the file is that of another evaluation.
        TargetError: another process is at it, or it cannot be written.
    """
    path = state_file(out, rank)
    with ExitStack() as stack:
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(only_writer(path))
            length = _read(path, settings)[1] if path.exists() else 0
            file = stack.enter_context(open(path, "ab"))
            file.truncate(length)
        appender = Appender(path, file)
        if not length:
            appender.write(_Header(settings))
        yield appender


class Appender:
    """Writes lines, each of which is with the system before the next one is made."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file

    def write(self, line: _Header | ImageScore) -> None:
        """Append a line.

        Raises:
            TargetError: it cannot be written.
        """
        with write_errors(self._path):
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()


def join_states(out: Path, settings: Settings, scores: Mapping[Key, ImageScore]) -> None:
    """Write all lines into one file, in order, and take away those of the ranks.

    Raises:
        TargetError: it cannot be written.
    """
    path = state_file(out)
    scores = {**read_states(out, settings), **scores}  # another process may have written since this one began
    lines: Iterable[_Header | ImageScore] = [_Header(settings), *(scores[key] for key in sorted(scores))]
    with write_errors(path):
        write_atomically(path, msgspec.json.Encoder().encode_lines(lines))
        for other in _state_files(out):
            if other != path:
                other.unlink()


def _state_files(out: Path) -> list[Path]:
    """The files of all ranks that are there."""
    ours = re.compile(rf"{re.escape(out.stem)}({RANK.pattern.removesuffix('$')})?\.jsonl")
    return sorted(path for path in out.parent.glob("*.jsonl") if ours.fullmatch(path.name))


def _read(path: Path, settings: Settings) -> tuple[list[ImageScore], int]:
    """The lines of a file, and how many bytes of it are whole lines.

    Raises:
        SourceError: it has other settings, or is none of ours.
    """
    content = path.read_bytes()
    length = content.rfind(b"\n") + 1
    lines = content[:length].splitlines()
    if not lines:
        if content and not content.startswith(b'{"settings"'[: len(content)]):
            raise _foreign(path, 1)
        return [], 0
    scores = []
    for number, line in enumerate(lines, 1):
        try:
            if number == 1:
                _compare(msgspec.json.decode(line, type=_Header).settings, settings, path)
            else:
                scores.append(msgspec.json.decode(line, type=ImageScore))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _foreign(path, number) from None
    return scores, length


def _compare(found: Settings, expected: Settings, path: Path) -> None:
    for name in Settings.__struct_fields__:
        mine, theirs = getattr(expected, name), getattr(found, name)
        if name not in _NOT_COMPARED and mine != theirs:
            raise SourceError(
                f"expected scores with {name.replace('_', ' ')} {_shown(mine)}, found them with {_shown(theirs)}",
                where=str(path),
                hint=f"Give what they were made with, another {option('out')}, or remove that file to start anew.",
            )


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    return "none" if value is None else str(value)


def _foreign(path: Path, line: int) -> SourceError:
    return SourceError(
        "expected a line that `asam-datasets evaluate` wrote, found another",
        where=f"{path}: line {line}",
        hint=f"Remove that file to start anew, or give another {option('out')}.",
    )
