"""Several archives at once: choose, fetch, check, rename."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asam_datasets.download._links import Link, choose_links, read_links
from asam_datasets.download._transfer import ExpiredError, Transfer
from asam_datasets.errors import AsamDatasetsError, SourceError, TargetError
from asam_datasets.machine import AnyPath, only_writer, path_of, texts_of, write_errors
from asam_datasets.progress import Listener
from asam_datasets.retry import RetryPolicy
from asam_datasets.sources.sa1b import check_tar, ends_as_a_tar


@dataclass(frozen=True)
class Archive:
    """One file of a download; `there` when an earlier run has finished it."""

    name: str
    path: str
    size_bytes: int
    state: Literal["downloaded", "there"]


@dataclass(frozen=True)
class Downloaded:
    """What a download did, archives in the order of asking; `bytes` is what came over the network in this run."""

    out: str
    archives: Sequence[Archive]
    bytes: int
    seconds: float


def download(
    links: AnyPath,
    out: AnyPath,
    *,
    archives: Iterable[str] = (),
    at_once: int = 4,
    listener: Listener | None = None,
) -> Downloaded:
    """Download SA-1B archives.

    A file is `NAME.part` until its size is the one that the server says and its tar is whole; then it gets its name.
    What was stopped or killed goes on where it was. A file that fails does not stop the others, except for what they
    would fail at too: a link that has expired, and a disk that is full.

    Args:
        links: Meta's `segment_anything_links.txt`.
        out: folder for the archives; made if it is not there.
        archives: names and ranges of them, `sa_000000-000019`; all of the list if not given.
        at_once: how many files are fetched at the same time.
        listener: who follows it; what it counts are bytes.

    Raises:
        SourceError: the list is none, or lacks a name; a file was not there, came to no end, or is no whole tar;
            a link has expired. The message names the first, and says how many there are.
        TargetError: the folder cannot be written, the disk is full, or another process writes there.
    """
    started, out = time.monotonic(), path_of(out)
    chosen = choose_links(read_links(links), texts_of(archives), str(links))
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with only_writer(out):
        work = _Work(out, chosen, listener or Listener())
        work.run(min(at_once, len(chosen)))
    failed = [error for error in work.ended if isinstance(error, AsamDatasetsError)]
    if failed:
        raise _together(failed, len(chosen))
    done = [one for one in work.ended if isinstance(one, Archive)]
    return Downloaded(str(out), done, work.bytes, time.monotonic() - started)


class _Work:
    """Threads that take one link after the other. They end with the process, in the middle of a file if need be."""

    def __init__(self, out: Path, links: Sequence[Link], listener: Listener) -> None:
        self.ended: list[Archive | AsamDatasetsError | None] = [None] * len(links)
        self.bytes = 0
        self._out = out
        self._links = links
        self._listener = listener
        self._policy = RetryPolicy.from_environment(self._say)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._crash: BaseException | None = None
        self._todo: queue.SimpleQueue[int] = queue.SimpleQueue()

    def run(self, threads: int) -> None:
        """Do all of it."""
        for number in range(len(self._links)):
            self._todo.put(number)
        running = [threading.Thread(target=self._loop, daemon=True) for _ in range(threads)]
        try:
            for thread in running:
                thread.start()
            for thread in running:
                thread.join()
        finally:
            self._stop.set()
        if self._crash is not None:
            raise self._crash

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                number = self._todo.get_nowait()
            except queue.Empty:
                return
            try:
                self.ended[number] = self._one(self._links[number])
            except AsamDatasetsError as error:
                self.ended[number] = error
                if isinstance(error, (ExpiredError, TargetError)):
                    self._stop.set()
            except BaseException as error:  # noqa: BLE001 (the edge of a thread: raised where it is waited for)
                self._crash = error
                self._stop.set()

    def _one(self, link: Link) -> Archive | None:
        path = self._out / link.file_name
        if path.exists():
            _check_there(path)
            return Archive(link.name, str(path), path.stat().st_size, "there")
        transfer = Transfer(link, path, self._policy, self._say, self._came, self._stop.is_set)
        if not transfer.fetch():
            return None
        if link.file_name.endswith(".tar"):
            try:
                check_tar(transfer.part, link.file_name)
            except AsamDatasetsError as error:
                transfer.discard()
                hint = "What came was removed. Run the same command again, or with new links if it is so again."
                raise SourceError(error.problem, where=error.where, hint=hint) from None
        size = transfer.finish()
        self._say(f"{link.file_name}: whole, {size:,} bytes")
        return Archive(link.name, str(path), size, "downloaded")

    def _came(self, count: int) -> None:
        with self._lock:
            self.bytes += count
            self._listener.on_records(count)

    def _say(self, text: str) -> None:
        with self._lock:
            self._listener.on_stage(text)
            self._listener.on_total(None)


def _check_there(path: Path) -> None:
    """Refuse a file of an archive's name that an interrupted download of another program may have left."""
    control = path.with_name(f"{path.name}.aria2")
    if control.exists():
        raise SourceError(
            f"expected a whole file, found that aria2 has not finished it ({control.name} is there)",
            where=str(path),
            hint="Let aria2c finish it, or remove both files; then run the same command again.",
        )
    if path.suffix == ".tar" and not ends_as_a_tar(path):
        raise SourceError(
            "expected a whole archive, found a file that does not end as a tar does",
            where=str(path),
            hint="Remove it, then run the same command again.",
        )


def _together(failed: Sequence[AsamDatasetsError], count: int) -> AsamDatasetsError:
    """One error for all: what stopped everything comes first."""
    first = next((error for error in failed if isinstance(error, (ExpiredError, TargetError))), failed[0])
    if len(failed) == 1:
        return first
    return type(first)(
        f"{first.problem} (and {len(failed) - 1:,} more of {count:,} files failed)",
        where=first.where,
        hint=first.marked_hint,
    )
