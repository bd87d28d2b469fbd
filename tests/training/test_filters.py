"""Filters: which records are wanted, and that nothing else is fetched; the pages that make it possible."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import Run
from evaluation_trees import TREES
from hypothesis import given, settings
from hypothesis import strategies as st
from many_records import RECORDS, as_worker

from asam_datasets.demo import DemoArchive
from asam_datasets.errors import SourceError, StreamError
from asam_datasets.published import GroupReader, open_dataset
from asam_datasets.published._footer import Footer, read_footer
from asam_datasets.published._page_index import Page, is_paged, read_index, read_values
from asam_datasets.published._thrift import ThriftError
from asam_datasets.training import Filter, open_stream
from asam_datasets.training import _fetch as fetch
from asam_datasets.training._fetch import Group, _plan_reads

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
few = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def dataset(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo and two evaluation sets."""
    folder = tmp_path_factory.mktemp("filters")
    sets = []
    for name in ("hrsod_te", "coco2017_val"):
        (folder / name).mkdir()
        TREES[name](folder / name)
        sets.append(f"{name}={folder / name}")
    done = publish("--train", demo.archive, "--evaluation", *sets, "--out", folder / "dataset")
    assert done.code == 0, done.err
    return folder / "dataset"


def given_ids(dataset: Path, config: str, where: Filter, **more: Any) -> set[Any]:
    return {record["image_id"] for record in open_stream(dataset, config, where=where, **more)}


def test_what_passes_is_what_a_loop_would_let_through(dataset: Path) -> None:
    records = list(open_stream(dataset, "train"))
    counts = {record["image_id"]: len(record["annotations"]) for record in records}
    middle = sorted(counts.values())[len(counts) // 2]
    assert given_ids(dataset, "train", Filter(min_masks=middle)) == {i for i, n in counts.items() if n >= middle}
    assert given_ids(dataset, "sam", Filter(max_masks=0)) == {i for i, n in counts.items() if n == 0}
    sides = {record["image_id"]: (record["height"], record["width"]) for record in records}
    least, most = sorted(min(side) for side in sides.values())[4], sorted(max(side) for side in sides.values())[-4]
    found = given_ids(dataset, "train", Filter(min_side=least, max_side=most))
    assert found == {i for i, side in sides.items() if min(side) >= least and max(side) <= most}
    scores = {record["image_id"]: [one["predicted_iou"] for one in record["annotations"]] for record in records}
    good = sorted(score for one in scores.values() for score in one)[-5]
    expected = {i for i, one in scores.items() if sum(score >= good for score in one) >= 1}
    assert given_ids(dataset, "sam", Filter(min_predicted_iou=good)) == expected
    expected = {i for i, one in scores.items() if sum(score >= 0.9 for score in one) >= 3}
    assert given_ids(dataset, "sam", Filter(min_predicted_iou=0.9, min_masks=3)) == expected
    assert 0 < len(expected) < len(records)


def test_records_that_pass_are_the_same_records(dataset: Path) -> None:
    whole = {record["image_id"]: record for record in open_stream(dataset, "train")}
    for ids in ([1], ["1", "3"], {2, 5, 99}):
        some = {record["image_id"]: record for record in open_stream(dataset, "train", where=Filter(image_ids=ids))}
        assert set(some) == {int(one) for one in ids if str(one).isdecimal()} & set(whole)
        for image_id, record in some.items():
            assert record == whole[image_id]
            assert list(record) == list(whole[image_id])
        rest = given_ids(dataset, "sam", Filter(without_image_ids=ids))
        assert rest == set(whole) - set(some)
    assert given_ids(dataset, "sam", Filter(image_ids=[1, 2], without_image_ids=[2])) == {1}


LISTS = ["sa_1.jpg", "sa_2"]


@pytest.mark.parametrize(
    "listed",
    [
        LISTS,
        iter(LISTS),
        torch.tensor([1, 2]),
        np.array([1, 2], np.uint8),
        [np.int64(1), torch.tensor(2)],
        dict.fromkeys([1, "2"]),
        "ids.txt",
        Path("ids.txt"),
    ],
    ids=["names", "an iterator", "a tensor", "an array", "numbers of both", "a dict", "a file", "a path"],
)
def test_images_are_named_as_for_rows(
    dataset: Path, listed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text("# of SA-1B\nsa_1.jpg\n\n2\n")
    columns = ["image_id"]
    without = Filter(without_image_ids=listed)
    assert given_ids(dataset, "sam", Filter(image_ids=without.without_image_ids), columns=columns) == {1, 2}
    rest = given_ids(dataset, "sam", without, columns=columns)
    assert rest == given_ids(dataset, "sam", Filter(), columns=columns) - {1, 2}


@pytest.mark.parametrize("name", ["image_ids", "without_image_ids"])
def test_what_names_no_image_is_refused(dataset: Path, name: str) -> None:
    for wrong in ([1.0, 2.0], [[1, 2]], [None], [True], torch.tensor([[1, 2]]), torch.tensor([1.5]), [torch.ones(())]):
        with pytest.raises(StreamError, match=rf"^Filter.{name}\[0\]: expected a number or a text, found "):
            Filter(**{name: wrong})
    with pytest.raises(StreamError, match=f"Filter.{name}: expected a list or a set, found tensor"):
        Filter(**{name: torch.tensor(3)})
    assert [getattr(Filter(**{name: one}), name) for one in ("123", 123)] == [("123",), (123,)]  # of no such file
    for one in ("x", "sa_x.jpg", -1):  # only the config says whether it is an id
        with pytest.raises(StreamError, match=rf"Filter.{name}\[1\]: expected an image id, found '{one}'"):
            open_stream(dataset, "sam", where=Filter(**{name: [1, one]}))


def test_images_of_evaluation_sets_are_named_by_their_paths_too(dataset: Path) -> None:
    records = list(open_stream(dataset, "coco2017_val", columns=["image_id", "file_name"]))
    first = records[0]
    for name in (first["image_id"], first["file_name"], np.str_(first["file_name"])):
        assert given_ids(dataset, "coco2017_val", Filter(image_ids=[name])) == {first["image_id"]}
        rest = given_ids(dataset, "coco2017_val", Filter(without_image_ids=[name]))
        assert rest == {record["image_id"] for record in records[1:]}


def test_categories_of_evaluation_sets(dataset: Path) -> None:
    records = list(open_stream(dataset, "coco2017_val"))
    categories = sorted({one["category"] for record in records for one in record["annotations"]})
    by_name = {
        record["image_id"]
        for record in records
        if any(one["category"] == categories[0] for one in record["annotations"])
    }
    number = next(
        one["category_id"] for record in records for one in record["annotations"] if one["category"] == categories[0]
    )
    assert given_ids(dataset, "coco2017_val", Filter(categories=[categories[0]])) == by_name
    assert given_ids(dataset, "coco2017_val", Filter(categories=[number])) == by_name
    text_id = records[0]["image_id"]
    assert given_ids(dataset, "coco2017_val", Filter(image_ids=[int(text_id)])) == {text_id}


def test_a_filter_that_cannot_be_is_one_sentence(dataset: Path) -> None:
    with pytest.raises(SourceError, match="expected annotations with category, found id, segmentation"):
        open_stream(dataset, "sam", where=Filter(categories=["cat"]))
    with pytest.raises(SourceError, match="expected annotations with predicted_iou"):
        open_stream(dataset, "hrsod_te", where=Filter(min_predicted_iou=0.5))
    with pytest.raises(SourceError, match="expected records that pass the filter, found none"):
        open_stream(dataset, "sam", where=Filter(image_ids=[10**6]))
    for wrong, message in (
        ({"min_side": -1}, "Filter.min_side: expected a number of 0 or more, found -1"),
        ({"max_masks": 1.5}, "Filter.max_masks"),
        ({"min_predicted_iou": 2}, "Filter.min_predicted_iou: expected 0 to 1"),
        ({"min_predicted_iou": "0.9"}, "Filter.min_predicted_iou: expected 0 to 1, found '0.9'"),
        ({"categories": "cat"}, "Filter.categories: expected a list or a set"),
        ({"categories": [None]}, r"Filter.categories\[0\]: expected a number or a text, found None"),
        ({"without_image_ids": 3.5}, "Filter.without_image_ids: expected a list or a set"),
    ):
        with pytest.raises(StreamError, match=message):
            Filter(**wrong)  # type: ignore[arg-type]


def test_the_filter_is_of_the_order_and_the_state(many: Path) -> None:
    wanted = set(random.Random(0).sample(range(1, RECORDS + 1), 60))

    def opened(ids: set[int], rank: int = 0, world_size: int = 1, **more: Any) -> Any:
        columns = ["image_id", "image"]
        where = Filter(image_ids=ids)
        return open_stream(many, "sam", rank=rank, world_size=world_size, where=where, columns=columns, **more)

    assert len(opened(wanted)) == 60
    seen = []
    for rank in range(2):
        for worker in range(2):
            with as_worker(worker, 2):
                seen += [record["image_id"] for record in opened(wanted, rank, 2)]
    assert sorted(seen) == sorted(wanted)
    for ends, count in (("pad", 9), ("drop", 8)):
        ranks = [list(opened(set(sorted(wanted)[:58]), rank, 7, ends=ends)) for rank in range(7)]
        assert [len(rank) for rank in ranks] == [count] * 7
        assert all(record["image"]["bytes"] for rank in ranks for record in rank)
    state = opened(wanted).state_dict()
    with pytest.raises(StreamError, match="expected the state of"):
        opened(wanted - {min(wanted)}).load_state_dict(state)


# ------------------------------------------------------------------------------------------------ pages


def test_images_by_pages_are_those_of_arrow(dataset: Path) -> None:
    opened = open_dataset(dataset)
    seen = 0
    for config in ("train", "hrsod_te"):
        for build in opened.config(config).builds:
            reader = GroupReader(opened.published.location)
            for part in opened.parts(build):
                columns = reader.paged(part, 0, ["image", "conditioning_image", "masks", "caption", "annotations"])
                assert columns == (["image", "conditioning_image"] if config == "train" else ["image"])
                for name in columns:
                    expected = [row[name]["bytes"] for row in reader.read(part, 0, [name]).to_pylist()]
                    rows = np.array([len(expected) - 1, 0, len(expected) // 2], np.int64)
                    assert reader.read_images(part, 0, name, rows) == [expected[row] for row in rows]
                    seen += 1
    assert seen >= 3


def footer_of(content: bytes) -> Footer:
    length = int.from_bytes(content[-8:-4], "little")
    return read_footer(content[-length - 8 : -8], len(content))


values_ = st.lists(st.one_of(st.none(), st.just(b""), st.binary(min_size=1, max_size=3000)), min_size=1, max_size=60)


@given(values=values_, page_bytes=st.sampled_from([64, 1024, 2**20]), nullable=st.booleans(), as_struct=st.booleans())
@few
def test_values_of_any_page(values: list[bytes | None], page_bytes: int, nullable: bool, as_struct: bool) -> None:
    values = values if nullable else [value or b"" for value in values]
    field = pa.field("bytes", pa.binary(), nullable=nullable)
    array = pa.array(values, pa.binary())
    if as_struct:
        array = pa.StructArray.from_arrays([array], fields=[field])
        field = pa.field("image", array.type)
    buffer = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays([array], schema=pa.schema([field])),
        buffer,
        compression="NONE",
        use_dictionary=False,
        write_page_index=True,
        data_page_size=page_bytes,
        write_batch_size=4,
    )
    content = buffer.getvalue().to_pybytes()
    (chunk,) = footer_of(content).chunks(0)
    assert is_paged(chunk)
    pages = read_index(content[slice(*chunk.page_index)], chunk, len(values))
    assert page_bytes > 64 or sum(len(one or b"") for one in values) < 9000 or len(pages) > 1
    levels = pq.read_metadata(pa.BufferReader(content)).schema.column(0).max_definition_level
    found = [one for page in pages for one in read_values(content[page.start : page.stop], page, levels)]
    assert found == values


@given(content=st.binary(max_size=200), cut=st.integers(0, 200), at=st.integers(0, 199), byte=st.integers(0, 255))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_bytes_of_a_stranger_are_refused_in_one_way(content: bytes, cut: int, at: int, byte: int) -> None:
    buffer = pa.BufferOutputStream()
    table = pa.table({"image": pa.array([b"abc", None, b"d" * 40], pa.binary())})
    pq.write_table(table, buffer, compression="NONE", use_dictionary=False, write_page_index=True)
    good = buffer.getvalue().to_pybytes()
    (chunk,) = footer_of(good).chunks(0)
    index = good[slice(*chunk.page_index)]
    page = read_index(index, chunk, 3)[0]
    changed = bytearray(good[page.start : page.stop])
    changed[at % len(changed)] = byte
    for trial in (
        lambda: read_index(content, chunk, 3),
        lambda: read_index(index[: cut % len(index)], chunk, 3),
        lambda: read_values(content, page, 1),
        lambda: read_values(bytes(changed), page, 1),
        lambda: read_values(good[page.start : page.stop][:cut], Page(0, cut, 0, 3), 2),
    ):
        try:
            trial()
        except ThriftError:
            continue


# ------------------------------------------------------------------------------------------------ what is read when


class _Part:
    row_groups = (20,) * 200


def test_images_of_many_open_row_groups_are_read_a_few_at_a_time() -> None:
    groups = [Group(_Part(), number) for number in range(200)]  # type: ignore[arg-type]
    numbers = np.tile(np.arange(128, dtype=np.int64), 20)
    rows = np.repeat(np.arange(20, dtype=np.int64), 128)
    reads = _plan_reads(numbers, rows, groups, whole=False)
    assert sum(len(read.rows) for read in reads if read.rows is not None) == len(numbers)
    assert max(len(read.rows) for read in reads if read.rows is not None) == max(1, fetch.HELD * 20 // 128)
    assert sum(read.is_first for read in reads) == 128
    # Few that are open at once, and most rows of them: as wholes.
    numbers = np.sort(numbers, kind="stable")
    assert all(read.rows is None for read in _plan_reads(numbers, np.tile(np.arange(20), 128), groups, whole=False))
