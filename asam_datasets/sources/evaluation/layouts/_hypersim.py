"""Hypersim's HDF5 maps of object numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.masks import from_label_map
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES, check_shape
from asam_datasets.sources.evaluation._patterns import match
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object
from asam_datasets.sources.evaluation.layouts._pairs import evidence_of_files, index_pairs
from asam_datasets.sources.evaluation.layouts._structs import Hypersim

_KEY = "dataset"
_COLUMNS = ("scene_name", "camera_name", "frame_id", "included_in_public_release")


class HypersimAdapter:
    """Each number is one mask; its id is the number. The image is the preview, as HDF5 cannot be shown."""

    def index(self, layout: Hypersim, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """Join previews and maps, and leave out frames that are not released.

        Raises:
            SourceError: h5py is not installed.
        """
        _h5py()
        public = _public_frames(layout, folder)
        for ref in index_pairs(layout, folder, bad):
            fields = [match(pair.image, ref.file_name) for pair in layout.pairs]
            first = next(found for found in fields if found is not None)
            if public is None or _frame(first.get("scene", ""), first.get("cam", ""), first.get("frame", "")) in public:
                yield ref

    def objects(self, layout: Hypersim, folder: Folder, ref: EvaluationRef, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks by number, in ascending order."""
        labels = _read_map(folder, ref.masks[0], shape)
        for value, mask in from_label_map(labels, leave_out=(*layout.background, *layout.ignored)).items():
            yield Object(mask, value)

    def evidence(self, layout: Hypersim, folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
        """The map's file."""
        return evidence_of_files(folder, ref)


def _read_map(folder: Folder, name: str, shape: tuple[int, int]) -> NDArray[np.integer[Any]]:
    h5py = _h5py()
    where = folder.place(name)
    data = folder.read(name, limit_bytes=MAX_IMAGE_BYTES)
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            # Links, virtual maps and outside storage name other files of this machine.
            if isinstance(file.get(_KEY, getlink=True), h5py.SoftLink | h5py.ExternalLink):
                raise RecordError(f"expected integers under the key {_KEY!r}, found a link", where=where)
            values = file[_KEY]
            if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "iu":
                raise RecordError(f"expected integers under the key {_KEY!r}, found something else", where=where)
            if values.is_virtual or values.external:
                raise RecordError("expected the map in the file itself, found that it lies outside", where=where)
            check_shape(values.shape, shape, where)
            labels: NDArray[np.integer[Any]] = values[()]
            return labels
    except KeyError:
        raise RecordError(f"expected the key {_KEY!r}, found none", where=where) from None
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"expected a readable HDF5 file, found one that fails with: {error}", where=where) from None


def _public_frames(layout: Hypersim, folder: Folder) -> frozenset[tuple[str, str, str]] | None:
    """Scene, camera and frame of what is released; None where no file says so."""
    if not layout.public or folder.size_bytes(layout.public) is None:
        return None
    text = folder.read(layout.public, limit_bytes=MAX_IMAGE_BYTES).decode("utf-8", errors="replace")
    rows = csv.DictReader(io.StringIO(text))
    if not set(_COLUMNS) <= set(rows.fieldnames or ()):
        raise SourceError(
            f"expected the columns {', '.join(_COLUMNS)}, found {', '.join(rows.fieldnames or ()) or 'none'}",
            where=folder.place(layout.public),
        )
    return frozenset(
        _frame(row["scene_name"], row["camera_name"], row["frame_id"])
        for row in rows
        if row["included_in_public_release"] == "True"
    )


def _frame(scene: str, camera: str, frame: str) -> tuple[str, str, str]:
    """File names have `00` and `0003` for `cam_00` and `3`."""
    return scene, (camera or "").removeprefix("cam_"), (frame or "").lstrip("0") or "0"


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise SourceError(
            "expected h5py, which reads HDF5, found it not installed",
            hint="Install it: pip install 'asam_datasets[evaluation]'",
        ) from None
    return h5py
