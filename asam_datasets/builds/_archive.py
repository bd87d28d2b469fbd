"""The recipe for SA-1B archives: folders and tars by reference, streams as they come."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from asam_datasets.builds._digest import digest_of
from asam_datasets.builds._recipe import Index, Options, Rendered, Streamed
from asam_datasets.errors import RecordError
from asam_datasets.masks import PngEncoder
from asam_datasets.rights import OWN, SA1B, Rights
from asam_datasets.sources import BadRecords, Reject
from asam_datasets.sources.sa1b import (
    RawRecord,
    RecordRef,
    Source,
    StreamSource,
    canonical_captions,
    read_record,
    select,
)
from asam_datasets.tables import Kind, render


class ArchiveRef(NamedTuple):
    """One record with its caption: where it is, or what came out of a stream."""

    record: RecordRef | RawRecord
    caption: str | None

    @property
    def image_id(self) -> int:
        """SA-1B's id of the image."""
        return self.record.image_id


@dataclass(frozen=True)
class ArchiveRecipe:
    """Rows of the `train` table out of one archive; without `images` they are left out. `licensed` is what somebody
    said of their rights."""

    source: Source
    images: bool = True
    licensed: Rights | None = None
    kind: ClassVar[Kind] = "train"
    drops: ClassVar[bool] = False
    extra: ClassVar[tuple[str, ...]] = ()
    info: ClassVar[None] = None

    @property
    def name(self) -> str:
        """The archive's name."""
        return self.source.name

    @property
    def rights(self) -> Rights:
        """What somebody said; or SA-1B's, but for data of one's own: known when the archive was looked over."""
        return self.licensed or (OWN if self.source.is_own else SA1B)

    @property
    def label(self) -> str:
        """Its path or URL."""
        return self.source.label

    def index(self, options: Options, bad: BadRecords) -> Index:
        """Find the records, by image id; see `Recipe`."""
        if isinstance(self.source, StreamSource):
            return Index(None)
        found = self.source.index(bad)
        chosen = select(found.records, options.ids)
        captions = canonical_captions(options.captions, found.records)
        refs = tuple(ArchiveRef(ref, captions.get(f"sa_{ref.image_id}.jpg")) for ref in chosen)
        return Index(refs, found.records, found.notes)

    def stream(self, options: Options, bad: BadRecords) -> Iterator[Streamed]:
        """Read the records; those that `ids` leaves out come without a ref, so that their ids are known."""
        if not isinstance(self.source, StreamSource):
            return
        for raw in self.source.records(bad):
            wanted = options.ids is None or raw.image_id in options.ids
            ref = ArchiveRef(raw, options.captions.get(f"sa_{raw.image_id}.jpg")) if wanted else None
            yield Streamed(raw.image_id, ref)

    def size_bytes(self, refs: Sequence[ArchiveRef]) -> int:
        """Bytes of the members; the same for a folder, a tar and a stream of one archive."""
        return sum(
            ref.record.image.size_bytes + ref.record.annotations.size_bytes
            for ref in refs
            if isinstance(ref.record, RecordRef)
        )

    def held_bytes(self, ref: ArchiveRef) -> int:
        """Bytes of what came out of a stream."""
        return len(ref.record.jpeg) + len(ref.record.json) if isinstance(ref.record, RawRecord) else 0

    def read(self, ref: ArchiveRef, encoder: PngEncoder, columns: Collection[str] | None = None) -> Rendered:
        """Read, check and render one record; see `Recipe`."""
        raw = self._raw(ref)
        row = render(read_record(raw, ref.caption), encoder, columns=columns, images=self.images)
        return Rendered(row, self._digest(raw, ref.caption), len(raw.jpeg) + len(raw.json))

    def digest(self, ref: ArchiveRef) -> bytes:
        """Digest of what makes one row: file name, JPEG, JSON, caption, and whether the image is in it."""
        return self._digest(self._raw(ref), ref.caption)

    def reject(self, ref: ArchiveRef, error: RecordError) -> Reject:
        """See `Recipe`."""
        annotations = ref.record.annotations
        name = annotations if isinstance(annotations, str) else annotations.name
        return Reject(self.label, error.member or name, str(error))

    def close(self) -> None:
        """See `Recipe`."""
        if not isinstance(self.source, StreamSource):
            self.source.close()

    def _raw(self, ref: ArchiveRef) -> RawRecord:
        if isinstance(ref.record, RawRecord):
            return ref.record
        if isinstance(self.source, StreamSource):
            raise TypeError("a stream has no records by reference")
        return self.source.read(ref.record)

    def _digest(self, raw: RawRecord, caption: str | None) -> bytes:
        texts = [raw.name.encode(), raw.jpeg, raw.json]
        if caption is not None:
            texts.append(caption.encode("utf-8", "surrogatepass"))
        return digest_of(texts, prefix=b"" if self.images else b"annotations only\n")
