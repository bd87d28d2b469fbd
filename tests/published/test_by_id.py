"""Rows by image id: lists of ids, where they are looked for, the order, and the pages that are read for them."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archives import Members, tar_bytes, tiny_members
from by_hand import as_last_release, reindex
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st
from many_records import RECORDS

from asam_datasets.errors import SourceError
from asam_datasets.published import GroupReader, open_dataset, rows, with_images
from asam_datasets.published import _by_id as by_id
from asam_datasets.published._byte_ranges import joined
from asam_datasets.published._footer import Footer, read_footer
from asam_datasets.published._group_file import read_apart, read_some, read_whole
from asam_datasets.published._page_index import is_paged, read_index, read_values, walk_values
from asam_datasets.published._thrift import ThriftError
from asam_datasets.sources import number_ids, read_entries, read_ids, text_ids

few = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def ids_of(dataset: Path, ids: Any, **more: Any) -> list[Any]:
    return [record["image_id"] for record in rows(dataset, ids, **{"columns": ["image_id"], **more})]


# ------------------------------------------------------------------------------------------------ lists of ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3\n1\n2\n", [3, 1, 2]),
        ("\ufeff# a comment\r\n\r\n  sa_3.jpg  \r\n0\rsa_1.json\n", [3, 0, 1]),
        ("sam/images/sa_12.jpg\n/data/sa_000000/sa_007.jpeg\n5.jpg\n", [12, 7, 5]),
        (' [3, "sa_1.jpg", "2"]\n', [3, 1, 2]),
        (f"{2**63 - 1}", [2**63 - 1]),
        ("4\n4\nsa_4.jpg\n", [4]),
    ],
)
def test_a_list_of_numbers(text: str, expected: list[int], tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_text(text, "utf-8")
    listed = number_ids(read_entries(path))
    assert listed.ids == expected
    assert listed.repeated == (2 if text.startswith("4") else 0)
    assert read_ids(path) == frozenset(expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ids: expected image ids, found an empty file"),
        (b"# nothing\n\n", "found an empty file"),
        (b"[]", "found an empty file"),
        (b"1\n\nx\n", "ids: line 3: expected an image id, found 'x'"),
        (str(2**63).encode(), r"line 1: expected an image id below 2\^63, found '9223372036854775808'"),
        (b"[1, 9223372036854775808]", r"\$\[1\]: expected an image id below 2\^63"),
        (b"9" * 5000, "line 1: expected an image id, found '9"),
        (b"-1", "expected an image id, found '-1'"),
        (b"[-1]", "expected an image id, found '-1'"),
        (b"[1.5]", "expected a JSON list of image ids, found"),
        (b"[true]", "expected a JSON list of image ids, found"),
        (b'[{"image": "sa_1.jpg"}]', "expected a JSON list of image ids, found"),
        (b"[1", "expected a JSON list of image ids, found"),
        (b"coco/train2017/000000000009.png.gz", "expected an image id, found 'coco"),
        ("３".encode(), "expected an image id, found"),
        (b"\xff\xfe1", "expected a text of image ids, found other bytes"),
    ],
)
def test_a_list_that_is_none_is_one_sentence(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as raised:
        number_ids(read_entries(path))
    assert raised.value.hint
    with pytest.raises(SourceError, match="expected a list of image ids, found: No such file"):
        read_ids(tmp_path / "none")


def test_ids_of_a_program(many: Path) -> None:
    assert ids_of(many, iter([np.int64(7), "sa_3.jpg", 7])) == [7, 3]
    for wrong, message in (
        ([], "ids: expected image ids, found none"),
        ("x", r"ids\[0\]: expected an image id, found 'x'"),
        ([1, True], r"ids\[1\]: expected an image id, found 'True'"),
        ([2.5], r"ids\[0\]: expected an image id"),
        ([2**70], r"below 2\^63"),
    ):
        with pytest.raises(SourceError, match=message):
            rows(many, wrong)
    assert text_ids([("", "a b"), ("", 7), ("", "a b")]).ids == ["a b", "7"]
    for bad in ("", "x" * 5000, "\ud800", None, True):
        with pytest.raises(SourceError, match="expected an image id"):
            text_ids([("", bad)])


# ------------------------------------------------------------------------------------------------ rows


def test_records_come_in_the_order_of_the_ids(many: Path) -> None:
    whole = {record["image_id"]: record for part in sorted(many.rglob("*.parquet")) for record in _table(part)}
    wanted = random.Random(0).sample(range(1, RECORDS + 1), 120)
    found = rows(many, [*wanted[:50], 10**9, *wanted[50:], wanted[0], 0], at_once=3)
    assert list(found) == [whole[one] for one in wanted]
    assert (found.missing, found.repeated) == ([10**9, 0], 1)
    some = list(rows(many, wanted[:5], ["width", "image"]))
    assert some == [{"width": whole[one]["width"], "image": whole[one]["image"]} for one in wanted[:5]]
    assert list(some[0]) == ["width", "image"]
    with pytest.raises(SourceError, match=r"expected some of the columns image, .*, found masks"):
        rows(many, [1], ["masks"], config="sam")


def _table(part: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(part).to_pylist()
    return found


def test_little_is_held(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 500 ids in no order not more than two windows of them are read ahead."""
    monkeypatch.setattr(by_id, "_WINDOW_IDS", 8)
    read, before = list[int](), by_id.RowFinder._read

    def count(self: Any, group: Any, ids: Any, columns: Any) -> Any:
        read.append(len(ids))
        return before(self, group, ids, columns)

    monkeypatch.setattr(by_id.RowFinder, "_read", count)
    wanted = random.Random(0).sample(range(1, RECORDS + 1), RECORDS)
    found = rows(many, wanted, ["image_id"])
    given = [next(found)["image_id"] for _ in range(100)]
    assert given == wanted[:100]
    assert sum(read) <= 100 + 3 * 8


def test_archives_whose_ranges_overlap(publish: Run, tmp_path: Path) -> None:
    """Odd ids in one, even ones in the other: the columns of ids say where they are."""
    for number in (0, 1):
        members: Members = {}
        for file, content in tiny_members(8).items():
            image_id, ending = int(file[3 : file.index(".")]), file[file.index(".") :]
            new = 2 * image_id - 1 + number
            if ending == ".json":
                table = json.loads(content)
                table["image"].update(image_id=new, file_name=f"sa_{new}.jpg")
                content = json.dumps(table).encode()
            members[f"sa_{new}{ending}"] = content
        (tmp_path / f"sa_{number:06}.tar").write_bytes(tar_bytes(members))
    done = publish("--train", *sorted(tmp_path.glob("*.tar")), "--out", tmp_path / "dataset")
    assert done.code == 0, done.err
    wanted = [16, 1, 7, 8, 2, 99]
    found = rows(tmp_path / "dataset", wanted, ["image_id", "archive"])
    archives = [(one["image_id"], one["archive"]) for one in found]
    assert archives == [(one, f"sa_00000{1 - one % 2}") for one in wanted if one < 99]
    assert found.missing == [99]
    for what in (_without_ranges, _with_a_wrong_range, as_last_release):
        what(tmp_path / "dataset")
        assert ids_of(tmp_path / "dataset", [16, 1, 99]) == [16, 1]


def _manifests(dataset: Path, change: Callable[[dict[str, Any]], None]) -> None:
    for path in dataset.rglob("build.json"):
        content = json.loads(path.read_text())
        for part in content["parts"]:
            change(part)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    reindex(dataset)


def _without_ranges(dataset: Path) -> None:
    """As an earlier release wrote them."""
    _manifests(dataset, lambda part: part.pop("image_ids", None))


def _with_a_wrong_range(dataset: Path) -> None:
    """Numbers that no column can have."""
    _manifests(dataset, lambda part: part.update(image_ids=[[-(2**70), 2**70]] * len(part["row_groups"])))


# ------------------------------------------------------------------------------------------------ pages


ANNOTATION = pa.struct(
    {
        "id": pa.int64(),
        "segmentation": pa.struct({"size": pa.list_(pa.int32(), 2), "counts": pa.string()}),
        "bbox": pa.list_(pa.float64()),
    }
)
annotation = st.fixed_dictionaries(
    {
        "id": st.one_of(st.none(), st.integers(0, 99)),
        "segmentation": st.fixed_dictionaries(
            {"size": st.just([3, 4]), "counts": st.one_of(st.none(), st.text("abc", max_size=300))}
        ),
        "bbox": st.one_of(st.none(), st.lists(st.floats(0, 9), max_size=4)),
    }
)
record = st.fixed_dictionaries(
    {
        "image": st.one_of(st.none(), st.fixed_dictionaries({"bytes": st.binary(max_size=900), "path": st.just("a")})),
        "annotations": st.one_of(st.none(), st.lists(annotation, max_size=4)),
        "width": st.one_of(st.none(), st.integers(0, 9)),
    }
)
SCHEMA = pa.schema(
    {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "annotations": pa.list_(ANNOTATION),
        "width": pa.int32(),
    }
)


def written(values: list[dict[str, Any]], page_bytes: int, compression: str, version: str) -> tuple[bytes, Footer]:
    """A Parquet file of some records, in pages of about so many bytes, and its footer."""
    buffer = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_pylist(values, schema=SCHEMA), buffer, compression=compression, data_page_version=version,
        use_dictionary=["width"], write_page_index=True, data_page_size=page_bytes, write_batch_size=3,
    )  # fmt: skip
    content = buffer.getvalue().to_pybytes()
    length = int.from_bytes(content[-8:-4], "little")
    footer = read_footer(content[-length - 8 : -8], len(content))
    return content, footer


@given(
    values=st.lists(record, min_size=1, max_size=40),
    page_bytes=st.sampled_from([32, 256, 2**20]),
    compression=st.sampled_from(["NONE", "ZSTD"]),
    version=st.sampled_from(["1.0", "2.0"]),
    dice=st.randoms(use_true_random=False),
)
@few
def test_some_rows_are_those_of_the_whole(
    values: list[dict[str, Any]], page_bytes: int, compression: str, version: str, dice: random.Random
) -> None:
    content, footer = written(values, page_bytes, compression, version)
    picked = np.array([dice.randrange(len(values)) for _ in range(dice.randint(1, 4))], np.int64)
    for columns in (["image", "annotations", "width"], ["annotations.list.element.id", "image.bytes"]):
        whole = read_whole(io.BytesIO(content), footer, 0, columns)
        some = read_some(io.BytesIO(content), footer, 0, columns, picked)
        assert some.to_pylist() == whole.take(picked).to_pylist()


@given(
    values=st.lists(record, min_size=1, max_size=40),
    page_bytes=st.sampled_from([32, 256, 2**20]),
    compression=st.sampled_from(["NONE", "ZSTD"]),
    version=st.sampled_from(["1.0", "2.0"]),
)
@few
def test_images_apart_are_those_of_the_whole(
    values: list[dict[str, Any]], page_bytes: int, compression: str, version: str
) -> None:
    """And no copies of them, but where pages are not as ours: those are left to Arrow."""
    content, footer = written(values, page_bytes, compression, version)
    columns = ["image", "annotations", "width"]
    paged = [one.leaf.path for one in footer.chunks(0) if one.leaf.path == "image.bytes" and is_paged(one)]
    assert bool(paged) == (compression == "NONE")
    table, images = read_apart(io.BytesIO(content), footer, 0, columns, ["image"] if paged else [])
    assert set(images) == ({"image"} if paged and version == "1.0" else set())
    rows_ = table.to_pylist()
    for name, found in images.items():
        assert all("bytes" not in row[name] for row in rows_ if row[name] is not None)
        assert len({id(one.obj) for one in found if one is not None}) <= 1
        for row, one in zip(rows_, found, strict=True):
            with_images(row, {name: None if one is None else bytes(one)})
    assert rows_ == read_whole(io.BytesIO(content), footer, 0, columns).to_pylist()


@given(
    values=st.lists(st.one_of(st.none(), st.binary(max_size=3000)), min_size=1, max_size=30),
    picked=st.lists(st.integers(0, 10**6), min_size=1, max_size=4),
    cut=st.integers(0, 10**6),
)
@few
def test_walking_to_values(values: list[bytes | None], picked: list[int], cut: int) -> None:
    """The same values as with all of the page, of which little else is read; and one error for a page that is cut."""
    buffer = pa.BufferOutputStream()
    table = pa.table({"image": pa.array(values, pa.binary())})
    pq.write_table(table, buffer, compression="NONE", use_dictionary=False, write_page_index=True)
    content = buffer.getvalue().to_pybytes()
    length = int.from_bytes(content[-8:-4], "little")
    (chunk,) = read_footer(content[-length - 8 : -8], len(content)).chunks(0)
    (page,) = read_index(content[slice(*chunk.page_index)], chunk, len(values))
    rows_ = np.unique(np.array(picked) % len(values))
    asked = 0

    def read(start: int, stop: int) -> bytes:
        nonlocal asked
        assert page.start <= start <= stop <= page.stop
        asked += stop - start
        return content[start:stop]

    whole = read_values(content[page.start : page.stop], page, 1)
    assert walk_values(read, page, rows_, 1) == {row: whole[row] for row in rows_.tolist()}
    assert asked <= 256 + 4 * len(values) + sum(8 + len(whole[row] or b"") for row in rows_.tolist())
    short = page._replace(stop=page.start + cut % (page.stop - page.start))
    try:
        found = walk_values(lambda start, stop: content[start : min(stop, short.stop)], short, rows_, 1)
    except ThriftError:
        return
    assert found == {row: whole[row] for row in rows_.tolist()}


@given(
    places=st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**4)), max_size=20), spare=st.integers(0, 10**6)
)
@few
def test_ranges_are_joined_within_bounds(places: list[tuple[int, int]], spare: int) -> None:
    wanted = sorted((start, start + length) for start, length in places)
    found = joined(wanted, spare)
    assert all(any(start <= one and other <= stop for start, stop in found) for one, other in wanted)
    close = joined(wanted)
    assert len(found) <= len(close)
    assert sum(b - a for a, b in found) <= sum(b - a for a, b in close) + spare


def test_single_images_of_a_page_cost_themselves(many: Path) -> None:
    """What is read of a row group by rows is a part of it, and the same."""
    opened = open_dataset(many)
    part = opened.parts(opened.builds[0])[0]
    reader = GroupReader(opened.published.location)
    count = part.row_groups[0]
    picked = np.array([count - 1, 0, count // 2], np.int64)
    columns = ["caption", "annotations", "masks", "image_id"]
    assert reader.read(part, 0, columns, picked).to_pylist() == reader.read(part, 0, columns).take(picked).to_pylist()
    plain = reader.read_images(part, 0, "image", picked)
    assert reader.read_images(part, 0, "image", picked, walk=True) == plain
    assert all(re.match(rb"\xff\xd8", one or b"") for one in plain)
