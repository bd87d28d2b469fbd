"""One reader of `peers.py`, in a process of its own: writes its format, or reads it and prints seconds as JSON.

    python _peer_reader.py write NAME TAR FOLDER
    python _peer_reader.py read NAME PLACE

It runs in the environment of the peers as well, so it imports nothing of ours but for the reader `ours`.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

SIZE, MASKS, SHARDS = 1024, 64, 4
Record = tuple[int, bytes, list[dict[str, Any]]]
"""Id, JPEG and annotations."""
Sample = dict[str, Any]


def members(tar: str) -> Iterator[tuple[int, bytes, bytes]]:
    """Id, JPEG, and annotations as JSON of each image of an archive."""
    with tarfile.open(tar) as archive:
        contents = {Path(one.name).name: archive.extractfile(one) for one in archive if one.isfile()}
        for name in sorted(name for name in contents if name.endswith(".jpg")):
            table = json.loads(contents[name.replace(".jpg", ".json")].read())
            yield table["image"]["image_id"], contents[name].read(), json.dumps(table["annotations"]).encode()


def import_torchvision() -> str:
    """Streaming imports torchvision and does not use it here. On PyPI that is built for CUDA, and beside a torch for
    the CPU it fails where it describes operators of its compiled half; with their names declared it can be imported.

    Returns:
        What is to be said about it; empty where all is well.
    """
    import torch

    try:
        import torchvision
    except RuntimeError as error:
        import_torchvision.library = torch.library.Library("torchvision", "DEF")  # type: ignore[attr-defined]
        for name in ("nms", "qnms"):
            signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            import_torchvision.library.define(signature)  # type: ignore[attr-defined]
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torchvision

        return (
            f"torchvision {torchvision.__version__} does not fit torch here ({error}): imported without its operators"
        )
    return ""


def write_streaming(tar: str, folder: str) -> None:
    """MDS, as MosaicML Streaming reads it."""
    if note := import_torchvision():
        print(note)
    from streaming import MDSWriter

    columns = {"id": "int", "image": "bytes", "annotations": "bytes"}
    with MDSWriter(out=folder, columns=columns) as writer:
        for number, image, annotations in members(tar):
            writer.write({"id": number, "image": image, "annotations": annotations})


def as_record(member: tuple[int, bytes, bytes]) -> dict[str, Any]:
    """What LitData stores of an image."""
    return dict(zip(("id", "image", "annotations"), member, strict=True))


def write_litdata(tar: str, folder: str) -> None:
    """Chunks, as LitData reads them."""
    from litdata import optimize

    optimize(fn=as_record, inputs=list(members(tar)), output_dir=folder, chunk_bytes="64MB", num_workers=1)


def write_webdataset(tar: str, folder: str) -> None:
    """Tars of images with their JSON."""
    import webdataset

    found = list(members(tar))
    for shard in range(SHARDS):
        with webdataset.TarWriter(f"{folder}/{shard}.tar") as writer:
            for number, image, annotations in found[shard::SHARDS]:
                writer.write({"__key__": str(number), "jpg": image, "json": annotations})


def read_stored(rows: Any) -> Iterator[Record]:
    """Records of a dataset of dicts with JSON."""
    import msgspec

    for row in rows:
        yield int(row["id"]), row["image"], msgspec.json.decode(row["annotations"])


def open_streaming(place: str) -> Callable[[], Iterator[Record]]:
    import_torchvision()
    from streaming import StreamingDataset

    where = {"remote": place, "local": f"{os.environ['HOME']}/mds"} if "://" in place else {"local": place}
    dataset = StreamingDataset(**where, shuffle=False, batch_size=1)
    return lambda: read_stored(dataset)


def open_litdata(place: str) -> Callable[[], Iterator[Record]]:
    from litdata import StreamingDataset

    dataset = StreamingDataset(place, shuffle=False)
    return lambda: read_stored(dataset)


def open_webdataset(place: str) -> Callable[[], Iterator[Record]]:
    import msgspec
    import webdataset

    dataset = webdataset.WebDataset([f"{place}/{shard}.tar" for shard in range(SHARDS)], shardshuffle=False)
    rows = dataset.to_tuple("__key__", "jpg", "json")
    return lambda: ((int(key), image, msgspec.json.decode(text)) for key, image, text in rows)


def open_datasets(place: str) -> Callable[[], Iterator[Record]]:
    from datasets import Image, load_dataset

    rows = load_dataset(place, "sam", split="train", streaming=True).cast_column("image", Image(decode=False))
    return lambda: ((row["image_id"], row["image"]["bytes"], row["annotations"]) for row in rows)


def open_ours(place: str) -> Callable[[], Iterator[dict[str, Any]]]:
    from asam_datasets.training import open_stream

    stream = open_stream(place, "sam", read_ahead=SHARDS)
    return lambda: iter(stream)


def decode(record: Record) -> Sample:
    """The tensors of a record, as a careful user makes them: nothing of a mask is drawn at full size."""
    import numpy as np
    import simplejpeg
    import torch
    from rlemasklib import RLEMask

    number, jpeg, annotations = record
    pixels = torch.from_numpy(simplejpeg.decode_jpeg(jpeg))[None].permute(0, 3, 1, 2)
    pixels = torch.nn.functional.interpolate(pixels, (SIZE, SIZE), mode="bilinear", antialias=True)[0].contiguous()
    order = sorted(range(len(annotations)), key=lambda index: -annotations[index]["area"])[:MASKS]
    planes, boxes = np.zeros((MASKS, SIZE, SIZE), np.uint8), np.zeros((MASKS, 4), np.float32)
    for slot, index in enumerate(order):
        mask = RLEMask.from_dict(annotations[index]["segmentation"]).resize((SIZE, SIZE))
        mask.decode_into(planes[slot], fg_value=1)
        x, y, width, height = mask.bbox()
        boxes[slot] = x, y, x + width - 1, y + height - 1
    masks = torch.from_numpy(planes).view(torch.bool)
    return {"image_id": number, "pixel_values": pixels, "masks": masks, "input_boxes": torch.from_numpy(boxes)}


def our_decode() -> Callable[[dict[str, Any]], Sample]:
    """`sam_sample`, for the same tensors."""
    from asam_datasets.training import Choose, SamOptions, sam_sample

    options = SamOptions(size=SIZE, fit="squeeze", choose=Choose(MASKS, "largest"), points=0)
    return partial(sam_sample, options=options)


def digest(sample: Sample) -> tuple[int, int]:
    """Id, and a sum over all bytes of the tensors."""
    total = 0
    for name in ("pixel_values", "masks", "input_boxes"):
        total = zlib.crc32(sample[name].numpy().data.cast("B"), total)
    return int(sample["image_id"]), total


def read(name: str, place: str) -> dict[str, Any]:
    """Read all records three times: unmeasured with digests, alone, and to tensors."""
    import torch

    torch.set_num_threads(1)
    records = globals()[f"open_{name}"](place)
    sample = our_decode() if name == "ours" else decode
    digests = sorted(digest(sample(record)) for record in records())
    found: dict[str, Any] = {"records": len(digests), "digest": zlib.crc32(repr(digests).encode())}
    for what, work in (("alone", lambda record: None), ("tensors", sample)):
        start, cpu = time.perf_counter(), time.process_time()
        for record in records():
            work(record)
        found[what] = time.perf_counter() - start
        found[f"{what}_cpu"] = time.process_time() - cpu
    return found


if __name__ == "__main__":
    verb, name, *places = sys.argv[1:]
    if verb == "write":
        globals()[f"write_{name}"](*places)
    else:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(json.dumps(read(name, *places)))
