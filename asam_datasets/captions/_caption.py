"""An archive to a caption file: see `asam_datasets.captions`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from asam_datasets.captions._file import CaptionFile, Header, make_header
from asam_datasets.captions._images import prepared_ahead
from asam_datasets.captions._options import CaptionOptions, Settings
from asam_datasets.captions._transformers import OutOfMemory, TransformersCaptioner
from asam_datasets.errors import CaptionsError, ModelError, RecordError, SourceError, option
from asam_datasets.machine import AnyPath, only_writer, path_of, text_of, write_errors, write_rejects
from asam_datasets.progress import Listener
from asam_datasets.sources import BadRecords, caption_id
from asam_datasets.sources.sa1b import RawRecord, RecordRef, Source, StreamSource, find_archives, open_source

_AHEAD_BATCHES = 2


class Captioner(Protocol):
    """What captions images: a loaded model. See `TransformersCaptioner` for the contract."""

    settings: Settings
    device: str
    software: dict[str, str]

    def prepare(self, raw: RawRecord) -> Any:
        """Make an image ready, in any thread; RecordError when it is damaged."""
        ...

    def caption(self, images: Sequence[Any], first_id: int) -> list[str]:
        """One caption for each; OutOfMemory when they are too many at once."""
        ...


@dataclass
class _Progress:
    """What the listener hears; `left` images are to be done, None when that is not known."""

    listener: Listener
    left: int | None

    def say(self, text: str) -> None:
        """A sentence, and the bar anew."""
        self.listener.on_stage(text)
        self.listener.on_total(self.left)

    def done(self, count: int) -> None:
        """So many more images are captioned."""
        if self.left is not None:
            self.left -= count
        self.listener.on_records(count)


@dataclass(frozen=True)
class Captioned:
    """What `caption` did. `new` images were captioned now, `images` are in the file; `batch_size` is the last."""

    out: str
    images: int
    new: int
    rejected: int
    rejects: str | None
    batch_size: int
    device: str
    seconds: float


def caption(
    source: AnyPath,
    out: AnyPath,
    *,
    options: CaptionOptions | None = None,
    load: Callable[[CaptionOptions], Captioner] = TransformersCaptioner,
    listener: Listener | None = None,
) -> Captioned:
    """Caption every image of an archive. A stopped run goes on when it is called again.

    Args:
        source: a folder, a tar, or a URL.
        out: the caption file, JSON Lines in the order of the archive; there only when it is complete. With a shard
            in `options` other than 1/1 it is `shard_path(out, shard)` instead.
        options: model, prompt, generation, batches; see `CaptionOptions`.
        load: makes the captioner; by default a model of transformers.
        listener: who follows the run.

    Raises:
        SourceError, RecordError: the archive; captions so far are kept.
        CaptionsError: `out` was begun with other settings, or is somebody else's.
        ModelError: the model cannot be loaded, or not even one image fits.
        TargetError: another process writes `out`, or the disk is full.
    """
    options, listener, started = options or CaptionOptions(), listener or Listener(), time.monotonic()
    opened = _open(text_of(source))
    path = shard_path(path_of(out), options.shard)
    bad = BadRecords(options.on_bad_record)
    with only_writer(path), write_errors(path):
        refs = None if isinstance(opened, StreamSource) else opened.index(bad).records
        listener.on_stage(f"Loading {options.model}")
        captioner = load(options)
        file = CaptionFile(path)
        file.open(_header(opened, options, captioner))
        before = len(file.captions)
        mine = _require_mine(refs, options.shard, file)
        left = None if mine is None else len(mine) - before
        counted = "the images" if left is None else f"{left:,} images"
        progress = _Progress(listener, left)
        progress.say(f"Captioning {counted} of {opened.label} on {captioner.device} ({before:,} done before)")
        records = _records(opened, mine, shard=options.shard, done=file.captions, bad=bad)
        batch_size = _run(records, captioner, file, options=options, bad=bad, progress=progress)
        file.finish()
        rejects = write_rejects(path.with_name(f"{path.stem}.rejects.jsonl"), bad.rejects)
    return Captioned(
        out=str(path),
        images=len(file.captions),
        new=len(file.captions) - before,
        rejected=len(bad.rejects),
        rejects=str(rejects) if rejects else None,
        batch_size=batch_size,
        device=captioner.device,
        seconds=time.monotonic() - started,
    )


def shard_path(out: Path, shard: tuple[int, int]) -> Path:
    """Where one process of several writes: `name.shard-3-of-8.json` beside `name.json`."""
    number, count = shard
    return out if count == 1 else out.with_name(f"{out.stem}.shard-{number}-of-{count}{out.suffix}")


def _open(source: str | Path) -> Source:
    archives = find_archives(source)
    if len(archives) > 1:
        raise SourceError(
            f"expected one archive, found {len(archives)} (such as {archives[0]})",
            where=str(source),
            hint="Caption them one by one: each has a caption file of its own.",
        )
    return open_source(archives[0])


def _header(source: Source, options: CaptionOptions, captioner: Captioner) -> Header:
    return make_header(
        archive=source.name,
        shard=options.shard,
        settings=captioner.settings,
        device=captioner.device,
        software=captioner.software,
    )


def _require_mine(
    refs: Sequence[RecordRef] | None, shard: tuple[int, int], file: CaptionFile
) -> Sequence[RecordRef] | None:
    """The records of this shard; None for a stream.

    Raises:
        CaptionsError: the file has captions of other images.
    """
    if refs is None:
        return None
    mine = refs[shard[0] - 1 :: shard[1]]
    other = file.captions.keys() - {f"sa_{ref.image_id}.jpg" for ref in mine}
    if other:
        raise CaptionsError(
            f"expected captions of images of this archive, found {len(other)} others, such as that of {min(other)}",
            where=str(file.path),
            hint=f"Has the archive changed, or is it another one of the same name? Give another {option('out')}.",
        )
    return mine


def _records(
    source: Source, mine: Sequence[RecordRef] | None, *, shard: tuple[int, int], done: dict[str, str], bad: BadRecords
) -> Iterator[RawRecord]:
    """The records that have no caption yet. Runs in the reader's thread."""
    known = {caption_id(name) for name in done}
    if isinstance(source, StreamSource):
        for position, raw in enumerate(source.records(bad)):
            if position % shard[1] == shard[0] - 1 and raw.image_id not in known:
                yield raw
        return
    try:
        for ref in mine or ():
            if ref.image_id not in known:
                yield source.read(ref)
    finally:
        source.close()


def _run(
    records: Iterator[RawRecord],
    captioner: Captioner,
    file: CaptionFile,
    *,
    options: CaptionOptions,
    bad: BadRecords,
    progress: _Progress,
) -> int:
    """Caption records batch by batch; the batch size at the end."""
    size = options.batch_size
    pending: list[tuple[int, Any]] = []
    with prepared_ahead(records, captioner.prepare, threads=options.threads, ahead=_AHEAD_BATCHES * size) as prepared:
        for raw, future in prepared:
            image = _result(raw, future, bad)
            if image is not None:
                pending.append((raw.image_id, image))
            while len(pending) >= size:
                size = _batch(pending, size, captioner, file=file, progress=progress)
        while pending:
            size = _batch(pending, size, captioner, file=file, progress=progress)
    return size


def _result(raw: RawRecord, future: Future[Any], bad: BadRecords) -> Any:
    try:
        return future.result()
    except RecordError as error:
        bad.reject(error, archive=raw.label, member=raw.image)
        return None


def _batch(
    pending: list[tuple[int, Any]], size: int, captioner: Captioner, *, file: CaptionFile, progress: _Progress
) -> int:
    """Caption the first `size` of `pending` and take them out; half the size, and nothing taken, when out of memory."""
    batch = pending[:size]
    try:
        texts = captioner.caption([image for _, image in batch], batch[0][0])
    except OutOfMemory:
        if len(batch) == 1:
            raise ModelError(
                "expected room for one image, found too little memory",
                where=captioner.device,
                hint=f"Give a smaller {option('model')}, fewer {option('num_beams')}, or another {option('device')}.",
            ) from None
        progress.say(f"Out of memory with {len(batch)} images at once: going on with {len(batch) // 2}")
        return len(batch) // 2
    if len(texts) != len(batch):
        raise ModelError(f"expected {len(batch)} captions for as many images, found {len(texts)}")
    file.append([(f"sa_{image_id}.jpg", text) for (image_id, _), text in zip(batch, texts, strict=True)])
    del pending[:size]
    progress.done(len(batch))
    return size
