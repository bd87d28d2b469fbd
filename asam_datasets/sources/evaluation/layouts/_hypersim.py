"""Hypersim's HDF5 maps of object numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from asam_datasets.errors import SourceError
from asam_datasets.masks import from_label_map
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._hdf5 import MAX_FILE_BYTES, read_map
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES
from asam_datasets.sources.evaluation._patterns import check_pattern, match
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object
from asam_datasets.sources.evaluation.layouts._pairs import PairedLayout

_KEY = "dataset"
_COLUMNS = ("scene_name", "camera_name", "frame_id", "included_in_public_release")


class Hypersim(PairedLayout, frozen=True, kw_only=True, tag="hypersim"):
    """HDF5 maps of object numbers beside preview images, as HDF5 cannot be shown. Each number is one mask and its id.

    Args:
        public: a CSV whose rows (`scene_name, camera_name, frame_id, included_in_public_release`) say which frames
            belong to the release; frames that it leaves out are not of the set. Without that file all are.
    """

    background: tuple[int, ...] = (-1,)
    ignored: tuple[int, ...] = ()
    public: str = ""

    def __post_init__(self) -> None:
        """As `PairedLayout`; and the CSV lies in the folder of the set."""
        PairedLayout.__post_init__(self)
        if self.public and check_pattern(self.public):
            raise ValueError(f"expected `public` without fields, found {self.public!r}")

    def require(self) -> None:
        """h5py."""
        _h5py()

    def index(self, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """Join previews and maps, and leave out frames that are not released.

        Raises:
            RecordError: as `PairedLayout`.
            SourceError: the CSV has other columns.
        """
        public = self._public_frames(folder)
        for ref in super().index(folder, bad):
            fields = [match(pair.image, ref.file_name) for pair in self.pairs]
            first = next(found for found in fields if found is not None)
            if public is None or _frame(first.get("scene", ""), first.get("cam", ""), first.get("frame", "")) in public:
                yield ref

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks by number, in ascending order."""
        data = folder.read(name, limit_bytes=MAX_FILE_BYTES)
        labels = read_map(data, _KEY, shape, folder.place(name))
        for value, mask in from_label_map(labels, leave_out=(*self.background, *self.ignored)).items():
            yield Object(mask, value)

    def lists(self) -> set[str]:
        """Those of the splits, and the CSV of the release."""
        return super().lists() | ({self.public} - {""})

    def _public_frames(self, folder: Folder) -> frozenset[tuple[str, str, str]] | None:
        """Scene, camera and frame of what is released; None where no file says so."""
        if not self.public or folder.size_bytes(self.public) is None:
            return None
        text = folder.read(self.public, limit_bytes=MAX_IMAGE_BYTES).decode("utf-8", errors="replace")
        rows = csv.DictReader(io.StringIO(text))
        if not set(_COLUMNS) <= set(rows.fieldnames or ()):
            raise SourceError(
                f"expected the columns {', '.join(_COLUMNS)}, found {', '.join(rows.fieldnames or ()) or 'none'}",
                where=folder.place(self.public),
            )
        return frozenset(
            _frame(row["scene_name"], row["camera_name"], row["frame_id"])
            for row in rows
            if row["included_in_public_release"] == "True"
        )


def _frame(scene: str, camera: str, frame: str) -> tuple[str, str, str]:
    """File names have `00` and `0003` for `cam_00` and `3`."""
    return scene, (camera or "").removeprefix("cam_"), (frame or "").lstrip("0") or "0"


def _h5py() -> None:
    try:
        import h5py  # noqa: F401
    except ImportError:
        raise SourceError(
            "expected h5py, which reads HDF5, found it not installed",
            hint="Install it: pip install 'asam_datasets[evaluation]'",
        ) from None
