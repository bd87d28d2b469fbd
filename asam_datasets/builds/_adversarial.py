"""The recipe for adversarial samples: each with the masks of its original out of an archive of the same run."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from asam_datasets.builds._archive import ArchiveRecipe
from asam_datasets.builds._recipe import Index, Options, Rendered, Streamed, Survey
from asam_datasets.errors import RecordError, SourceError, option
from asam_datasets.masks import PngEncoder
from asam_datasets.rights import SA1B, Rights
from asam_datasets.sources import AdversarialRef, AdversarialSource, BadRecords, Reject
from asam_datasets.sources.sa1b import IndexedSource, RawRecord, RecordRef, StreamSource, read_record
from asam_datasets.tables import ADVERSARIAL_NAME, Kind, render_adversarial


class Original(NamedTuple):
    """Where the record of an image id is: an archive that can be read in any order, and its place there."""

    source: IndexedSource
    ref: RecordRef


class SampleRef(NamedTuple):
    """A sample with its original (None where no archive has it) and the caption of that."""

    sample: AdversarialRef
    original: Original | None
    caption: str | None

    @property
    def image_id(self) -> int:
        """SA-1B's id of the original."""
        return self.sample.image_id


@dataclass(frozen=True)
class AdversarialRecipe:
    """Rows of the `adversarial` table. `originals` are known to the process that indexes; workers get refs."""

    source: AdversarialSource
    originals: Mapping[int, Original] = field(default_factory=dict, repr=False)
    images: bool = True
    licensed: Rights | None = None
    kind: ClassVar[Kind] = "adversarial"
    drops: ClassVar[bool] = False
    extra: ClassVar[tuple[str, ...]] = ()
    info: ClassVar[None] = None
    name: ClassVar[str] = ADVERSARIAL_NAME

    def __reduce__(self) -> tuple[object, ...]:
        return AdversarialRecipe, (self.source, {}, self.images, self.licensed)

    @property
    def rights(self) -> Rights:
        """What somebody said of them; or SA-1B's."""
        return self.licensed or SA1B

    @property
    def label(self) -> str:
        """The folder of the samples."""
        return self.source.label

    def index(self, options: Options, bad: BadRecords) -> Index:
        """Find the samples, by image id; see `Recipe`."""
        return Index(
            tuple(
                SampleRef(ref, self.originals.get(ref.image_id), options.captions.get(f"sa_{ref.image_id}.jpg"))
                for ref in self.source.index(bad)
            )
        )

    def stream(self, options: Options, bad: BadRecords) -> Iterator[Streamed]:
        """Samples are read by reference."""
        return iter(())

    def size_bytes(self, refs: Sequence[SampleRef]) -> int:
        """Bytes of the images."""
        return sum((self.source.path / ref.sample.image).stat().st_size for ref in refs)

    def held_bytes(self, ref: SampleRef) -> int:
        """Refs carry nothing."""
        return 0

    def read(self, ref: SampleRef, encoder: PngEncoder, columns: Collection[str] | None = None) -> Rendered:
        """Read, check and render one sample; see `Recipe`."""
        if ref.original is None:
            raise RecordError(
                f"expected the original sa_{ref.sample.image_id}.jpg in one of the archives of {option('train')}, "
                "found none",
                where=f"{self.label}: {ref.sample.image}",
                hint=f"Give the archive that it was made from: {option('train', 'sa_000000.tar')}",
            )
        files = self.source.read_files(ref.sample)
        raw = ref.original.source.read(ref.original.ref)
        sample = self.source.check(ref.sample, files)
        row = render_adversarial(sample, read_record(raw, ref.caption), encoder, columns=columns, images=self.images)
        return Rendered(row, self._digest(files, raw, ref.caption), len(sample.content))

    def digest(self, ref: SampleRef) -> bytes:
        """Digest of what makes one row: the sample's two files, the original's JSON, archive and caption."""
        raw = None if ref.original is None else ref.original.source.read(ref.original.ref)
        return self._digest(self.source.read_files(ref.sample), raw, ref.caption)

    def reject(self, ref: SampleRef, error: RecordError) -> Reject:
        """See `Recipe`."""
        return Reject(self.label, ref.sample.image, str(error))

    def close(self) -> None:
        """The archives of the originals stay open for the next sample."""

    def _digest(self, files: tuple[bytes, bytes], raw: RawRecord | None, caption: str | None) -> bytes:
        content = hashlib.sha256(b"" if self.images else b"annotations only")
        for file in files:
            content.update(hashlib.sha256(file).digest())
        if raw is not None:
            content.update(hashlib.sha256(raw.json).digest() + raw.archive.encode())
        content.update(b"no caption" if caption is None else b"caption " + caption.encode("utf-8", "surrogatepass"))
        return content.digest()


def find_originals(surveys: Iterable[Survey]) -> dict[int, Original]:
    """The records of the archives among some surveys, by image id.

    Raises:
        SourceError: an archive is a stream, of which no record can be read again.
    """
    originals: dict[int, Original] = {}
    for survey in surveys:
        source = survey.recipe.source if isinstance(survey.recipe, ArchiveRecipe) else None
        if isinstance(source, StreamSource):
            raise SourceError(
                "expected originals in archives that can be read in any order, found a stream",
                where=source.label,
                hint="Download the archive, or unpack it, to publish adversarial samples of it.",
            )
        if source is not None:
            originals.update((ref.image_id, Original(source, ref)) for ref in survey.index.records)
    return originals
