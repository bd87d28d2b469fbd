"""Parts of anybody's making: none ends the process, none takes the memory of the machine, each is one sentence."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from by_hand import reindex
from conftest import Ran, Run, run_python

from asam_datasets.builds import BUILD_FILE, decode_build
from asam_datasets.demo import write_demo
from asam_datasets.errors import AsamDatasetsError, RecordError, SourceError, TargetError
from asam_datasets.machine import file_sha256, only_writer
from asam_datasets.organized import export
from asam_datasets.preview import preview
from asam_datasets.published import GroupReader, HubClient, Location, PartFile
from asam_datasets.published import verify as deep_verify
from asam_datasets.published._thrift import Field, Items, Kind, Struct, ThriftError, read_struct, write_struct
from asam_datasets.training import open_stream, sam_sample

END = 8  # the length of the footer, and PAR1
MOST_MEMORY = 2 * 10**9
COLUMNS = ("image", "caption", "conditioning_image", "masks", "annotations", "image_id", "file_name", "width", "height")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, publish: Run) -> Path:
    folder = tmp_path_factory.mktemp("published")
    demo = write_demo(folder / "demo", images=4, height=200, width=240)
    ran = publish("--train", demo.archive, "--captions", demo.captions, "--out", folder / "out", "--parts", "1")
    assert ran.code == 0, ran.err
    return folder / "out"


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "copy"))


def part_of(dataset: Path) -> Path:
    (part,) = dataset.rglob("*.parquet")
    return part


def agree(part: Path) -> None:
    """Make the manifest say of a part what is true of it now."""
    manifest = part.with_name(BUILD_FILE)
    old = decode_build(manifest.read_bytes(), "").parts[0]
    text = manifest.read_text().replace(f'"size_bytes": {old.size_bytes}', f'"size_bytes": {part.stat().st_size}')
    sha256 = old.sha256 if part.stat().st_size > 2**40 else file_sha256(part)
    manifest.write_text(text.replace(old.sha256, sha256))
    reindex(part.parents[3])


def split(content: bytes) -> tuple[bytes, Struct]:
    """The pages of a part, and its footer."""
    length = int.from_bytes(content[-END:-4], "little")
    return content[: -length - END], read_struct(content[-length - END : -END])[0]


def joined(pages: bytes, footer: Struct) -> bytes:
    end = write_struct(footer)
    return pages + end + len(end).to_bytes(4, "little") + b"PAR1"


def columns_of(footer: Struct) -> list[Struct]:
    """What the footer says of each column of its first row group."""
    return [column[3].value for column in footer[4].value.values[0][1].value.values]


def in_child(work: Callable[[], object]) -> tuple[int, int]:
    """How a fork ends that does some work, negative for a signal, and its peak memory in bytes."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024


def read_all(path: Path, rows: int) -> None:
    """Read a part as our readers do; anything but one of our errors is a failure."""
    part = PartFile(Location(str(path.parent), None), path.name, path.name, rows, path.stat().st_size, (rows,), 10**4)
    reader = GroupReader(part.location)
    with contextlib.suppress(AsamDatasetsError):
        reader.schema(part)
        reader.read(part, 0, COLUMNS)


# ------------------------------------------------------------------------------------------------ footers


def bad_statistics(footer: Struct) -> None:
    """The least and greatest width are not four bytes, but one."""
    for column in columns_of(footer):
        if b"width" in column[3].value.values:
            for number in (5, 6):
                column[12].value[number] = Field(Kind.BINARY, b"\0")
            for number in (1, 2):
                column[12].value.pop(number, None)


def test_damaged_statistics(copy: Path, tmp_path: Path) -> None:
    """Arrow ends the process over them. Nothing here needs them."""
    part = part_of(copy)
    pages, footer = split(part.read_bytes())
    bad_statistics(footer)
    part.write_bytes(joined(pages, footer))
    agree(part)
    seen = run_python("-m", "asam_datasets", "preview", copy, "--out", tmp_path / "sheet.png")
    assert seen.code == 0, seen.err
    found = [finding.problem for finding in deep_verify(str(copy), deep=True).findings]
    assert [problem[:19] for problem in found] == ["expected the digest"], "of the build: nothing else is wrong"


FOOTERS: dict[str, tuple[Callable[[Struct], object], str]] = {
    "a negative size": (lambda f: columns_of(f)[0].update({7: Field(Kind.I64, -5)}), "a column at bytes"),
    "a negative place": (lambda f: columns_of(f)[0].update({9: Field(Kind.I64, -5)}), "a column at bytes"),
    "a size beyond the end": (lambda f: columns_of(f)[0].update({7: Field(Kind.I64, 2**62)}), "a column at bytes"),
    "negative rows": (lambda f: f[4].value.values[0].update({3: Field(Kind.I64, -4)}), "rows that cannot be"),
    "negative values": (lambda f: columns_of(f)[0].update({5: Field(Kind.I64, -4)}), "a column with -4 values"),
    "another type": (lambda f: columns_of(f)[0].update({1: Field(Kind.I32, 1)}), "another column in the place of"),
    "no type": (lambda f: columns_of(f)[0].pop(1), "a header without its field 1"),
    "an unknown codec": (lambda f: columns_of(f)[0].update({4: Field(Kind.I32, 99)}), "in codec 99"),
    "another file": (
        lambda f: f[4].value.values[0][1].value.values[0].update({1: Field(Kind.BINARY, b"/etc/passwd")}),
        "a column in another file",
    ),
    "a column less": (lambda f: f[4].value.values[0][1].value.values.pop(), "a row group with"),
    "a name of noise": (lambda f: f[2].value.values[1].update({4: Field(Kind.BINARY, b"\xff")}), "is not UTF-8"),
    "a schema that is cut": (lambda f: f[2].value.values.pop(), "a schema that is cut"),
    "no schema": (lambda f: f[2].value.values.clear(), "a header without its field 5"),
    "a deep schema": (
        lambda f: f.update({2: Field(Kind.LIST, Items(Kind.STRUCT, [deeper(n) for n in range(2_000)]))}),
        "nested too deeply",
    ),
    "no row groups": (lambda f: f[4].value.values.clear(), "expected 4 rows"),
}


def deeper(number: int) -> Struct:
    return {
        3: Field(Kind.I32, 0),
        4: Field(Kind.BINARY, b"a%d" % number),
        5: Field(Kind.I32, 1),
    }


@pytest.mark.parametrize("what", FOOTERS)
def test_footers(what: str, copy: Path, tmp_path: Path) -> None:
    change, expected = FOOTERS[what]
    part = part_of(copy)
    pages, footer = split(part.read_bytes())
    change(footer)
    part.write_bytes(joined(pages, footer))
    agree(part)
    with pytest.raises(SourceError, match=expected) as raised:
        export(copy, tmp_path / "out", masks="none", workers=1)
    assert part.name in str(raised.value)
    report = deep_verify(str(copy), deep=True)
    assert not report.is_good


def test_what_no_compact_protocol_is() -> None:
    for content in (
        b"",
        b"\x15",
        b"\x18\xff\xff\xff\xff\x0f",
        b"\x1c" * 100,
        b"\x19\xf5\xff\xff\xff\xff\x0f",
        b"\x1b\0",
    ):
        with pytest.raises(ThriftError):
            read_struct(content)
    for content in (b"\x15" + b"\xff" * 20, b"\x15\xff\xff\xff\xff\x7f\0", b"\x15\x02\x05\x02\x02\0"):
        with pytest.raises(ThriftError):  # a number too long, of too many bits, a field that goes back
            read_struct(content)


def test_a_footer_is_written_as_it_was_read(published: Path) -> None:
    content = part_of(published).read_bytes()
    pages, footer = split(content)
    assert joined(pages, footer) == content


@pytest.mark.parametrize("where", ["footer", "pages"])
def test_random_damage(where: str, published: Path, tmp_path: Path) -> None:
    """A short slice; some of these seeds ended the process before."""
    content = part_of(published).read_bytes()
    pages, footer = split(content)
    places = list(range(len(pages), len(content) - END))
    if where == "pages":
        starts = [column[9].value for column in columns_of(footer)]
        places = [place for start in starts for place in range(start, min(start + 100, len(pages)))]

    def work() -> None:
        for seed in range(80):
            chance = random.Random(seed)
            damaged = bytearray(content)
            for _ in range(chance.choice((1, 1, 2, 4))):
                damaged[chance.choice(places)] = chance.randrange(256)
            (tmp_path / "part.parquet").write_bytes(damaged)
            read_all(tmp_path / "part.parquet", 4)

    assert in_child(work)[0] == 0


# ------------------------------------------------------------------------------------------------ memory


def dictionary(column: str, text: str) -> Callable[[Path], None]:
    """All rows of a column have one text, which is in the part once."""

    def change(part: Path) -> None:
        _, footer = split(part.read_bytes())
        table = pq.read_table(part)
        coded = pa.DictionaryArray.from_arrays(pa.array([0] * len(table), pa.int32()), [text])
        table = table.set_column(table.schema.get_field_index(column), column, coded)
        pq.write_table(
            table, part, compression="zstd", dictionary_pagesize_limit=2**30, write_statistics=False, store_schema=False
        )
        pages, other = split(part.read_bytes())
        part.write_bytes(joined(pages, {**other, 5: footer[5]}))

    return change


def page_headers(column: str, fields: dict[int, int]) -> Callable[[Path], None]:
    """Other numbers in the header of the first page of a column."""

    def change(part: Path) -> None:
        pages, footer = split(part.read_bytes())
        (chosen,) = [one for one in columns_of(footer) if b".".join(one[3].value.values).decode() == column]
        start = chosen[9].value
        header, behind = read_struct(pages, start)
        for number, value in fields.items():
            if number < 10:
                header[number] = Field(Kind.I32, value)
            else:
                page = 5 if 5 in header else 8
                header[page].value[number - 10] = Field(Kind.I32, value)
        if 11 in fields:
            chosen[5] = Field(Kind.I64, fields[11])
        # Behind all others, where it has room.
        moved = write_struct(header) + pages[behind : start + chosen[7].value]
        chosen[9], chosen[7] = Field(Kind.I64, len(pages)), Field(Kind.I64, len(moved))
        part.write_bytes(joined(pages + moved, footer))

    return change


COUNTS = "annotations.list.element.segmentation.counts"
LARGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a text in each row": (dictionary("caption", "a" * (140 * 2**20)), "a column caption that takes more than"),
    "a long text": (dictionary("caption", "a" * 2**21), "expected a caption of at most 1048576 letters, found 2097152"),
    "a long name": (dictionary("file_name", "a" * 2**20), "expected a file_name of at most 4096 letters"),
    "a page of zeros": (page_headers("caption", {2: 2**31 - 1}), "a column caption that takes more than"),
    "a negative page": (page_headers("caption", {2: -1}), "a page of"),
    "a page beyond the end": (page_headers("caption", {3: 2**30}), "a page of 1073741824 bytes"),
    "a billion values": (page_headers(COUNTS, {11: 10**9}), f"a column {COUNTS} that takes more than"),
    "negative values": (page_headers(COUNTS, {11: -1}), "a column with -1 values"),
    "an unknown encoding": (page_headers(COUNTS, {12: 77}), "a page in encoding 77"),
    "texts that begin with the one before": (
        page_headers(COUNTS, {2: 2**24, 12: 7}),
        f"a column {COUNTS} that takes more than",
    ),
}


@pytest.mark.parametrize("what", LARGE)
def test_a_small_part_that_stands_for_gigabytes(what: str, copy: Path, tmp_path: Path) -> None:
    change, expected = LARGE[what]
    change(part_of(copy))
    agree(part_of(copy))
    assert part_of(copy).stat().st_size < 10**6

    def work() -> None:
        for verb in (
            lambda: export(copy, tmp_path / "out", masks="none", workers=1),
            lambda: preview(copy, out=tmp_path / "sheet.png", rows="0:1"),
        ):
            with pytest.raises((SourceError, RecordError), match=expected):
                verb()
        assert any(expected in finding.problem for finding in deep_verify(str(copy), deep=True).findings)

    code, peak = in_child(work)
    assert code == 0
    assert peak < MOST_MEMORY


def test_a_sparse_part_of_4_tib(copy: Path, tmp_path: Path) -> None:
    """Only its end is real: neither is it read whole nor does anybody ask for as much memory."""
    part = part_of(copy)
    content = part.read_bytes()
    pages, _ = split(content)
    with part.open("wb") as file:
        file.write(pages)
        file.seek(2**42 - len(content) + len(pages))
        file.write(content[len(pages) :])
    agree(part)
    assert f"expected at most 200000000000 bytes, found {2**42}" in str(deep_verify(str(copy), deep=True).findings)
    assert preview(copy, out=tmp_path / "sheet.png").masks > 0, "what the footer names is there"


# ------------------------------------------------------------------------------------------------ what cannot be read


@pytest.mark.parametrize("name", ["part-000.parquet", BUILD_FILE, "README.md"])
def test_a_file_that_cannot_be_read(name: str, copy: Path, tmp_path: Path) -> None:
    """`/proc/self/mem` is a file of no bytes, and reading it fails."""
    part = part_of(copy)
    path = copy / name if name == "README.md" else part.with_name(name)
    path.unlink()
    path.symlink_to("/proc/self/mem")
    if name == part.name:
        manifest = part.with_name(BUILD_FILE)
        size_bytes = decode_build(manifest.read_bytes(), "").parts[0].size_bytes
        manifest.write_text(manifest.read_text().replace(f'"size_bytes": {size_bytes}', '"size_bytes": 0'))
        reindex(copy)
        report = deep_verify(str(copy), deep=True)
        assert "expected a file that can be read, found: Input/output error" in str(report.findings)
    elif name == BUILD_FILE:
        assert "expected a file that can be read, found: Input/output error" in str(deep_verify(str(copy)).findings)
        return  # nobody else reads it
    else:
        with pytest.raises(AsamDatasetsError, match="expected a file that can be read, found: Input/output error"):
            deep_verify(str(copy), deep=True)
    for verb in (
        lambda: export(copy, tmp_path / "out", workers=1),
        lambda: preview(copy, out=tmp_path / "sheet.png"),
        lambda: list(open_stream(copy, "train")),
    ):
        with pytest.raises(AsamDatasetsError, match=r"expected .*, found"):
            verb()


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_nulls(column: str, copy: Path, tmp_path: Path) -> None:
    """A finding for `verify`, one sentence for the others, where they look at the column at all."""
    part = part_of(copy)
    table = pq.read_table(part)
    field = table.schema.field(column)
    pq.write_table(
        table.set_column(table.schema.get_field_index(column), field, pa.nulls(len(table), field.type)), part
    )
    agree(part)
    problems = [finding.problem for finding in deep_verify(str(copy), deep=True).findings]
    assert len(problems) > 1, "another one than the digest of the build"
    with contextlib.suppress(AsamDatasetsError):
        export(copy, tmp_path / "out", masks="none", workers=1)
    with contextlib.suppress(AsamDatasetsError):
        preview(copy, out=tmp_path / "sheet.png")
    with contextlib.suppress(AsamDatasetsError):
        list(open_stream(copy, "sam", transform=sam_sample))


def test_no_room_for_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASAM_DATASETS_CACHE", str(tmp_path / "cache"))

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        with pytest.raises(TargetError, match="expected to be able to write, found: File too large"):  # noqa: SIM117
            with only_writer(tmp_path / "out"):
                pass

    assert in_child(work)[0] == 0


def test_no_room_for_what_comes_from_the_hub(tmp_path: Path) -> None:
    for number, told in ((errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system")):
        explained = HubClient("a/b").explain(OSError(number, os.strerror(number), str(tmp_path / "blob")))
        assert isinstance(explained, TargetError)
        assert f"{tmp_path}/blob: expected room for what comes from the Hub, found: {told}" in str(explained)


def test_names_that_are_no_utf_8(published: Path, tmp_path: Path) -> None:
    place = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    shutil.copytree(published, place + "in")
    for command in (
        ("export", f"{place}in", "--out", f"{place}out", "--masks", "none", "--workers", "1", "--json"),
        ("preview", f"{place}in", "--out", f"{place}sheet.png"),
        ("verify", f"{place}in", "--workers", "1"),
        ("demo", f"{place}demo", "--images", "2", "--json"),
        ("organize", f"{place}demo/sa_000000.tar", "--out", f"{place}org", "--workers", "1"),
        ("publish", "--train", f"{place}demo/sa_000000.tar", "--out", f"{place}again", "--workers", "1", "--json"),
        ("verify", f"{place}again", "--workers", "1", "--json"),
    ):
        ran = run_python("-m", "asam_datasets", *command)
        assert ran.code == 0, ran.err
        assert "\\udcff" in ran.out
        if "--json" in command:
            json.loads(ran.out)


# ------------------------------------------------------------------------------------------------ the end of a program


def refused(dataset: Path, *more: str | Path) -> Ran:
    return run_python("-m", "asam_datasets", *more, dataset, fresh=True)


def test_a_refusal_is_no_abort(copy: Path, tmp_path: Path) -> None:
    """Arrow reads a Python file in threads of its own, over which Python aborts at its end: in 11 of 20 runs."""
    table = pq.read_table(part_of(copy))
    names = [f"../{name}" for name in table["file_name"].to_pylist()]
    pq.write_table(table.set_column(table.schema.get_field_index("file_name"), "file_name", [names]), part_of(copy))
    for number in range(2):
        ran = refused(copy, "export", "--workers", "1", "--out", tmp_path / f"out{number}")
        assert ran.code == 1, ran.err
        assert "Fatal" not in ran.err
        assert ran.err.count("error: ") == 1
