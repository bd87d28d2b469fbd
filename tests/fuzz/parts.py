"""Published Parquet parts of anybody's making: judged by the values that were written into them.

A part is written anew with other values, types and ways of storing, or its bytes are changed; its manifest says its
size and sha256, as that of a hostile publisher would. Then it is read, also by ids, verified, exported and previewed.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from archives import pack_tar, tiny_members

from asam_datasets.errors import AsamDatasetsError
from asam_datasets.organized import export
from asam_datasets.preview import preview
from asam_datasets.publish import PublishOptions, publish
from asam_datasets.published import GroupReader, PartFile, open_dataset, read_rows, rows, verify, with_images
from fuzz import mutate
from fuzz.masks import pixels_of
from fuzz.target import Target, fresh, refused

ROWS = 3


@lru_cache(maxsize=1)
def dataset() -> Path:
    """A published folder with one archive in one part, and what its part and its manifest were at first."""
    folder = Path(tempfile.mkdtemp(prefix="parts-"))
    path = pack_tar(folder, tiny_members(ROWS))
    captions = folder / "captions.json"
    captions.write_text("".join(f'{{"img": "sa_{n}.jpg", "prompt": "a photo of {n}"}}\n' for n in range(1, ROWS + 1)))
    publish(PublishOptions([path], captions=[captions], out=folder / "out", workers=1, parts=1))
    (build,) = (folder / "out").glob("data/train/*")
    shown = f"[{{split: train, path: [data/train/{build.name}/**/part-*.parquet]}}]"
    readme = f"---\nconfigs:\n- {{config_name: train, data_files: {shown}}}\n---\n"  # a long one takes long to read
    (folder / "out/README.md").write_text(readme)
    return folder / "out"


@lru_cache(maxsize=1)
def seed() -> tuple[bytes, bytes, pa.Table]:
    """The bytes of the part and of the manifest, and the table."""
    (part,) = dataset().rglob("*.parquet")
    content = part.read_bytes()
    return content, (part.parent / "build.json").read_bytes(), pq.read_table(io.BytesIO(content))


TEXTS = ("../../x", "/etc/passwd", "a\0b", "\x1b[31m", "sa_1.jpg", "SA_1.JPG", "x" * 5000, "", "é" * 100, "sa_2.jpg")
NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 64, 65, 8192, 8193)


def _changed_rows(rng: random.Random, rows: list[dict[str, Any]]) -> None:
    for _ in range(rng.randint(1, 3)):
        row = rng.choice(rows)
        kind = rng.randrange(9)
        if kind == 0:
            row[rng.choice(list(row))] = None
        elif kind == 1:
            row[rng.choice(("file_name", "archive", "caption"))] = rng.choice(TEXTS)
        elif kind == 2:
            row[rng.choice(("width", "height"))] = rng.choice(NUMBERS)
        elif kind == 3:
            row["image_id"] = rng.choice((1, 2, 3, -1, 2**63 - 1, -(2**63)))
        elif kind == 4:
            name = rng.choice(("image", "conditioning_image"))
            content = (row[name] or {}).get("bytes") or b""
            new = rng.choice((None, b"", mutate.blob(rng, content), b"%!PS-Adobe-3.0 EPSF-3.0\n", content[:50]))
            row[name] = {"bytes": new, "path": rng.choice((None, "sa_1.jpg", "/dev/zero", "../x"))}
        elif kind == 5:
            row["masks"] = rng.choice(((row["masks"] or [])[:-1], [], (row["masks"] or []) * 3, None, [None]))
        elif kind == 6:
            row["annotations"] = rng.choice(((row["annotations"] or [])[:1], [], (row["annotations"] or []) * 2, None))
        elif kind == 7 and row["annotations"]:
            annotation = rng.choice(row["annotations"])
            if annotation:
                annotation[rng.choice(list(annotation))] = None
        elif row["annotations"] and row["annotations"][0] and row["annotations"][0]["segmentation"]:
            coded = row["annotations"][0]["segmentation"]
            coded["counts"] = mutate.blob(rng, (coded["counts"] or "").encode()).decode("latin-1")
            if rng.random() < 0.3:
                coded["size"] = [rng.choice(NUMBERS), rng.choice(NUMBERS)]
    if rng.random() < 0.1:
        rows.append(rows[0])


def _changed_types(rng: random.Random, table: pa.Table) -> pa.Table:
    kind = rng.randrange(6)
    name = rng.choice(table.column_names)
    at = table.column_names.index(name)
    if kind == 0:
        return table.drop_columns([name])
    if kind == 1:
        return table.rename_columns([rng.choice(("x", one, one, one)) for one in table.column_names])
    if kind == 2:
        return table.replace_schema_metadata(rng.choice((None, {"huggingface": "{"}, {"ARROW:schema": "x"})))
    if kind == 3:
        return table.select(rng.sample(table.column_names, len(table.column_names)))
    if kind == 4:
        values = [rng.choice((0, "x", 1.5)) if rng.random() < 0.1 else None for _ in range(len(table))]
        values = [value for value in values if isinstance(value, str)] + [None] * len(table)
        return table.set_column(at, name, pa.array(values[: len(table)], pa.string()))
    targets = (
        pa.string(),
        pa.binary(),
        pa.int64(),
        pa.float32(),
        pa.large_string(),
        pa.dictionary(pa.int32(), pa.string()),
    )
    return table.set_column(at, name, table.column(name).cast(rng.choice(targets)))


def _part(rng: random.Random) -> tuple[bytes, pa.Table | None]:
    """A part, and the table that is in it; None where its bytes were changed."""
    content, _, table = seed()
    kind = rng.randrange(10)
    if kind == 0 and rng.random() < 0.1:
        return _bomb(rng.choice(("caption", "file_name", "archive"))), None
    if kind == 0:
        return content, table
    if kind < 5:
        tail = int.from_bytes(content[-8:-4], "little") + 8
        if kind < 3:  # the footer, which says where everything is
            return content[:-tail] + mutate.blob(rng, content[-tail:-8]) + content[-8:], None
        return mutate.blob(rng, content), None
    try:
        if kind < 9:
            rows = table.to_pylist()
            _changed_rows(rng, rows)
            table = pa.Table.from_pylist(rows, schema=table.schema)
        if kind >= 8:
            table = _changed_types(rng, table)
    except (pa.ArrowException, OverflowError, TypeError):
        return content, seed()[2]
    return _stored(rng, table)


_bombs: set[bytes] = set()


@lru_cache(maxsize=3)
def _bomb(name: str) -> bytes:
    """Four hundred rows with one text of 8 MB, which is stored once: some kilobytes that stand for three gigabytes."""
    table = pa.concat_tables([seed()[2]] * 134)
    text = pa.DictionaryArray.from_arrays(pa.array([0] * len(table), pa.int32()), pa.array(["x" * 2**23]))
    file = io.BytesIO()
    table = table.set_column(table.column_names.index(name), name, text)
    pq.write_table(table, file, compression="zstd", store_schema=False)
    _bombs.add(file.getvalue())
    return file.getvalue()


def _stored(rng: random.Random, table: pa.Table) -> tuple[bytes, pa.Table | None]:
    """A table as a part, in one of the ways that Parquet has."""
    file = io.BytesIO()
    try:
        pq.write_table(
            table,
            file,
            row_group_size=rng.choice((1, 2, 100)),
            compression=rng.choice(("none", "snappy", "zstd", "gzip", "lz4", "brotli")),
            use_dictionary=rng.random() < 0.5,
            data_page_version=rng.choice(("1.0", "2.0")),
            write_statistics=rng.random() < 0.5,
            write_page_index=rng.random() < 0.3,
        )
    except pa.ArrowException:
        return seed()[0], seed()[2]
    try:
        pq.read_metadata(file)
    except pa.ArrowException:  # written, and not to be read again
        return file.getvalue(), None
    return file.getvalue(), table


def _write(content: bytes, table: pa.Table | None, rng: random.Random) -> None:
    (path,) = dataset().rglob("*.parquet")
    path.write_bytes(content)
    manifest = json.loads(seed()[1])
    part = manifest["parts"][0]
    part |= {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if table is not None or content in _bombs:
        groups = pq.read_metadata(io.BytesIO(content))
        part["row_groups"] = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
        part["rows"] = sum(part["row_groups"])
    if len(part["row_groups"]) != len(part["image_ids"]) or rng.random() < 0.5:
        del part["image_ids"]
    if rng.random() < 0.05:
        part["columns"] = dict.fromkeys(part["columns"], rng.choice(NUMBERS[:2]))
    (path.parent / "build.json").write_text(json.dumps(manifest))


def try_one(rng: random.Random) -> bool:
    """One part, used in one of the ways that there are."""
    content, table = _part(rng)
    _write(content, table, rng)
    kind = rng.randrange(8)
    try:
        if kind < 2:
            return _read(table)
        if kind > 5:
            return _fetch(table, rng)
        if kind < 4:
            return _verify(table)
        if kind == 4:
            return _export(table)
        sheet = fresh("sheet") / rng.choice(("sheet.png", "page.html"))
        preview(dataset(), out=sheet)
        return sheet.stat().st_size > 100
    except AsamDatasetsError as error:
        return refused(error)


def _read(table: pa.Table | None) -> bool:
    opened = open_dataset(dataset())
    ((part,),) = map(opened.parts, opened.builds)
    reader = GroupReader(part.location)
    names = ("image", "caption", "annotations", "image_id", "archive")
    found = [row for group in range(len(part.row_groups)) for row in read_rows(reader, part, group, names)]
    for row, values in zip(found, [] if table is None else table.to_pylist(), strict=table is not None):
        for name in ("file_name", "width", "height", "caption", "image_id", "archive"):
            assert getattr(row, name) == values[name], name
        assert (row.image and row.image.content) == (values["image"] and values["image"]["bytes"])
        for annotation, other in zip(row.annotations, values["annotations"] or [], strict=True):
            assert annotation.segmentation.counts == other["segmentation"]["counts"]
            assert annotation.area == other["area"]
    images = [content for group in range(len(part.row_groups)) for content in _apart(reader, part, group)]
    assert images == [row.image.content if row.image else None for row in found]
    return True


def _apart(reader: GroupReader, part: PartFile, group: int) -> list[bytes | None]:
    """The images of a row group as a stream reads them."""
    table, images = reader.read_with_images(part, group, ["image"])
    found = table.to_pylist()
    for row, content in zip(found, images.get("image", ()), strict="image" in images):
        with_images(row, {"image": None if content is None else bytes(content)})
    return [row["image"]["bytes"] if row["image"] else None for row in found]


def _fetch(table: pa.Table | None, rng: random.Random) -> bool:
    """Some rows by their ids: those of the table, and all of them where no range says where to look."""
    ids = rng.sample((1, 2, 3, 4, 0, 2**63 - 1), rng.randint(1, 6))
    columns = rng.sample(seed()[2].column_names, rng.randint(1, 9))
    found = rows(dataset(), ids, columns)
    records = list(found)
    if table is not None:
        expected = {one: [row for row in table.to_pylist() if row["image_id"] == one] for one in ids}
        for one in ids if len(records) == sum(map(len, expected.values())) else ():
            for row in expected[one]:
                assert records.pop(0) == {name: row[name] for name in columns}
        wanted = [{name: row[name] for name in columns} for rows_ in expected.values() for row in rows_]
        assert all(record in wanted for record in records)
    return True


def _verify(table: pa.Table | None) -> bool:
    report = verify(str(dataset()), deep=True)
    # The folder keeps its name, which is the digest of the part that was there first.
    problems = [f"{finding.where}: {finding.problem}" for finding in report.findings if "digest" not in finding.problem]
    if table is None:
        return not problems
    if table.equals(seed()[2], check_metadata=True):
        assert not problems, problems
    if not problems:
        for row in table.to_pylist():
            _confirm(row)
    return not problems


def _confirm(row: dict[str, Any]) -> None:
    """What a deep verification found nothing wrong with."""
    shape = (row["height"], row["width"])
    assert row["file_name"] == f"sa_{row['image_id']}.jpg"
    image = cv2.imdecode(np.frombuffer(row["image"]["bytes"], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[:2] == shape
    for annotation, mask in zip(row["annotations"], row["masks"], strict=True):
        pixels = pixels_of(annotation["segmentation"]["size"], annotation["segmentation"]["counts"])
        assert pixels is not None
        assert pixels.shape == shape
        assert annotation["area"] in (None, int(pixels.sum()))
        assert np.array_equal(cv2.imdecode(np.frombuffer(mask["bytes"], np.uint8), cv2.IMREAD_UNCHANGED) > 0, pixels)


def _export(table: pa.Table | None) -> bool:
    place = fresh("export")
    out = place / "a/b/out"
    out.parent.mkdir(parents=True)
    try:
        export(dataset(), out, workers=1)
    finally:
        beside = [path for path in place.rglob("*") if path not in (out.parent, out.parent.parent, out)]
        assert all(path.is_relative_to(out) for path in beside), "something was written outside"
    if table is not None:
        for row in table.to_pylist():
            written = (out / "sa_000000" / row["file_name"]).read_bytes()
            assert written == row["image"]["bytes"]
    shutil.rmtree(out)
    return True


TARGET = Target("parts", try_one, share=15_000, short=60, prepare=seed)
