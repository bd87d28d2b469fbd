"""The recipe for evaluation sets: how many of its images have an object is known when all were read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from asam_datasets.builds._digest import digest_of
from asam_datasets.builds._manifest import EvaluationInfo
from asam_datasets.builds._recipe import Index, Options, Rendered, Streamed
from asam_datasets.errors import RecordError
from asam_datasets.masks import PngEncoder
from asam_datasets.rights import Rights
from asam_datasets.sources import BadRecords, Reject
from asam_datasets.sources.evaluation import EvaluationRef, EvaluationSource
from asam_datasets.tables import Kind, render_evaluation


@dataclass(frozen=True)
class EvaluationRecipe:
    """Rows of the `evaluation` table out of one set; without `images` they are left out."""

    source: EvaluationSource
    images: bool = True
    kind: ClassVar[Kind] = "evaluation"
    drops: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The set's id."""
        return self.source.name

    @property
    def label(self) -> str:
        """What was said on the command line."""
        return self.source.label

    @property
    def extra(self) -> Sequence[str]:
        """The columns that the set has besides those of all sets."""
        return self.source.extra

    @property
    def taken(self) -> str:
        """How a set is read that no catalog knows, for people; empty for all others."""
        return self.source.taken

    @property
    def rights(self) -> Rights:
        """What the catalog says of the license."""
        entry = self.source.entry
        return Rights(entry.license or "unknown", entry.license_link or "", entry.redistributable)

    @property
    def info(self) -> EvaluationInfo:
        """What the card says of the set."""
        source, entry = self.source, self.source.entry
        return EvaluationInfo(
            title=entry.name,
            homepage=entry.homepage,
            citation=entry.citation,
            split=source.split,
            source_split=source.source_split,
            masks=source.kind,
            protocol=source.protocol if entry.asam is not None else "default",
            variant=source.variant,
            columns=list(source.extra),
        )

    def index(self, options: Options, bad: BadRecords) -> Index:
        """Find the images, by file name; see `Recipe`."""
        return Index(self.source.index(bad))

    def stream(self, options: Options, bad: BadRecords) -> Iterator[Streamed]:
        """Sets are read by reference."""
        return iter(())

    def size_bytes(self, refs: Sequence[EvaluationRef]) -> int:
        """Bytes of the images."""
        return sum(ref.size_bytes for ref in refs)

    def held_bytes(self, ref: EvaluationRef) -> int:
        """Refs carry nothing."""
        return 0

    def read(self, ref: EvaluationRef, encoder: PngEncoder, columns: Collection[str] | None = None) -> Rendered:
        """Read, check and render one image; see `Recipe`."""
        found = self.source.read(ref)
        digest = self._digest(found.digest)
        if found.record is None:
            return Rendered(None, digest, 0)
        row = render_evaluation(found.record, encoder, columns=columns, images=self.images)
        return Rendered(row, digest, len(found.record.image))

    def digest(self, ref: EvaluationRef) -> bytes:
        """Digest of all that decides a row: names, image, mask files, layout, and whether the image is in it."""
        return self._digest(self.source.digest(ref))

    def reject(self, ref: EvaluationRef, error: RecordError) -> Reject:
        """See `Recipe`."""
        return Reject(self.label, ref.file_name, str(error))

    def close(self) -> None:
        """Nothing is held open."""

    def _digest(self, inputs: bytes) -> bytes:
        return inputs if self.images else digest_of([inputs], prefix=b"annotations only\n")
