"""Images decoded ahead: one thread reads the archive, several decode, the model never waits for either.

The reader thread owns the source and its open file. The decoding threads own nothing: they get bytes and give back
what the model takes. Results come out in the order of reading; at most `ahead` are held.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from PIL import Image

from asam_datasets.images import check_whole, decoding, open_image
from asam_datasets.sources.sa1b import RawRecord

Prepared = TypeVar("Prepared")

_SPARE = 2  # decoded at no less than this many times the side that the model takes: room for the filter
_POLL_S = 0.1


def load_image(raw: RawRecord, side: int) -> Image.Image:
    """Decode an image as RGB, at a fraction of its size (1/2, 1/4, 1/8) where the model takes far less.

    Args:
        raw: the record; only its JPEG is looked at.
        side: the side that the model takes, in pixels.

    Raises:
        RecordError: it is cut, no JPEG, or too large.
    """
    where = f"{raw.label}: {raw.image}"
    image = open_image(raw.jpeg, where, formats=("JPEG", "PNG") if raw.file_name else ("JPEG",))
    check_whole(raw.jpeg, image.format or "JPEG", where)
    with decoding(where, expected="a JPEG that decodes"):
        image.draft("RGB", (_SPARE * side, _SPARE * side))
        return image.convert("RGB")


@contextmanager
def prepared_ahead(
    records: Iterable[RawRecord], prepare: Callable[[RawRecord], Prepared], *, threads: int, ahead: int
) -> Iterator[Iterator[tuple[RawRecord, Future[Prepared]]]]:
    """Prepare records in background threads, which are gone when the block ends.

    Yields:
        (record, future of what `prepare` gives), in order; iterating raises what `records` raises.
    """
    done = threading.Event()
    # (record, future), or the error that ended the reading, or None at the end
    ready: queue.Queue[tuple[RawRecord, Future[Prepared]] | BaseException | None] = queue.Queue(ahead)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        reader = threading.Thread(target=_read, args=(records, prepare, pool, ready, done), name="read", daemon=True)
        reader.start()
        try:
            yield _iterate(ready)
        finally:
            done.set()
            reader.join()


def _iterate(
    ready: queue.Queue[tuple[RawRecord, Future[Prepared]] | BaseException | None],
) -> Iterator[tuple[RawRecord, Future[Prepared]]]:
    while (item := ready.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def _read(
    records: Iterable[RawRecord],
    prepare: Callable[[RawRecord], Prepared],
    pool: ThreadPoolExecutor,
    ready: queue.Queue[tuple[RawRecord, Future[Prepared]] | BaseException | None],
    done: threading.Event,
) -> None:
    def put(item: tuple[RawRecord, Future[Prepared]] | BaseException | None) -> None:
        while not done.is_set():
            try:
                ready.put(item, timeout=_POLL_S)
                return
            except queue.Full:
                continue

    try:
        for raw in records:
            if done.is_set():
                return
            put((raw, pool.submit(prepare, raw)))
        put(None)
    except BaseException as error:  # noqa: BLE001 (a thread's edge: it is raised where the results are taken)
        put(error)
