"""HDF5 maps: judged by the numbers that were written; what was changed gives a map of its size, or is refused."""

from __future__ import annotations

import io
import random
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from asam_datasets.errors import AsamDatasetsError
from fuzz import mutate, sets
from fuzz.target import Target, refused, scratch

H, W = sets.SHAPE
Labels = NDArray[Any]


def _labels(rng: random.Random) -> Labels:
    kind = rng.choice(("i4", "i4", "i4", "u1", "i2", "u2", "i8", "u8", ">i4", "f4", "S3", "?"))
    shape = sets.SHAPE if rng.random() < 0.9 else rng.choice(((H,), (W, H), (H, W, 1), (0, 0), ()))
    dice = np.random.default_rng(rng.getrandbits(32))
    labels = dice.integers(-1 if kind in ("i4", "i2") else 0, 4, shape)
    if kind in ("i4", "i8", "u8") and rng.random() < 0.2:
        top = np.iinfo(kind)
        return np.where(labels == 3, rng.choice((top.max, top.min)), labels.astype(kind))
    return labels.astype(kind)


def _file(rng: random.Random, labels: Labels) -> bytes:
    file = io.BytesIO()
    options: dict[str, Any] = {}
    if labels.ndim and labels.size and rng.random() < 0.7:
        options["chunks"] = tuple(min(side, rng.choice((4, 7, 100))) for side in labels.shape)
        options |= rng.choice(
            ({}, {"compression": "gzip"}, {"compression": "lzf"}, {"shuffle": True}, {"fletcher32": True})
        )
    with h5py.File(file, "w", libver=rng.choice(("earliest", "latest"))) as h5:
        place = rng.choice(("dataset",) * 12 + ("data", "dataset/dataset", "other"))
        kind = rng.randrange(30)
        if kind == 0:
            h5["other"] = labels
            h5["dataset"] = rng.choice(
                (h5py.SoftLink("/other"), h5py.SoftLink("/dataset"), h5py.ExternalLink("x.h5", "/"))
            )
        elif kind == 1:
            layout = h5py.VirtualLayout(sets.SHAPE, "i4")
            layout[...] = h5py.VirtualSource(str(scratch() / "secret.h5"), "dataset", sets.SHAPE)
            h5.create_virtual_dataset("dataset", layout)
        elif kind == 2:
            outside = [("/dev/zero", 0, h5py.h5f.UNLIMITED)]
            h5.create_dataset("dataset", sets.SHAPE, "i4", external=outside)
        elif kind == 3:
            h5.create_dataset("dataset", (2**20, 2**20), "i8", chunks=(2**10, 2**10))
        elif kind == 4:
            h5.create_dataset(
                "dataset", sets.SHAPE, "i4", chunks=rng.choice(((2**14, 2**14), (H, W))), maxshape=(None, None)
            )
        elif kind == 5:
            h5.create_dataset("dataset", sets.SHAPE, np.dtype([("a", "i4"), ("b", "i4")]))
        elif kind == 6:
            h5.create_dataset("dataset", sets.SHAPE, h5py.vlen_dtype(np.int32))
        else:
            h5.create_dataset(place, data=labels, **options)
    return file.getvalue()


def try_one(rng: random.Random) -> bool:
    """One map."""
    labels = _labels(rng)
    whole = _file(rng, labels)
    data = mutate.blob(rng, whole) if rng.random() < 0.6 else whole
    sets.write(sets.root("fuzz_hdf5") / "masks/one.bin", data)
    try:
        record = sets.read("fuzz_hdf5")
    except AsamDatasetsError as error:
        return refused(error)
    found = sets.bitmaps(record)
    if data != whole:  # HDF5 has no sums over its data: other numbers are as good as those
        assert all(mask.shape == sets.SHAPE for mask in found)
        return True
    with h5py.File(io.BytesIO(data)) as h5:
        stored = h5["dataset"][()]
    expected = [stored == value for value in np.unique(stored) if value != -1]
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)), "other pixels"
    return True


TARGET = Target("hdf5", try_one, share=15_000, short=100)
