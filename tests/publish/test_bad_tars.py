"""Tars that are odd, damaged or hostile: one clear sentence, or what is whole of them."""

import gzip
import json
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from archives import (
    ENDING,
    ZEROS,
    Members,
    checksummed,
    entries,
    entry,
    tar_bytes,
    without,
)
from bad_input import ALL_IDS, PACK_BYTES, ROOT, Run, build_of, check_refused, ids_of, rejects_of
from bad_input import _own_temporary_folder as _own_temporary_folder
from bad_input import digest_without as digest_without
from bad_input import members as members
from bad_input import published as published
from bad_input import run as run
from bad_input import tiny as tiny

# ------------------------------------------------------------------------------------------------ members of a tar


def link(kind: bytes) -> Callable[[Members], bytes]:
    return lambda members: (
        tar_bytes(without(members, 2)).removesuffix(ENDING)
        + b"".join(
            [entry("sa_2.jpg", kind=kind, target="/etc/hostname"), entry("sa_2.json", members["sa_2.json"]), ENDING]
        )
    )


def with_entry(*pieces: bytes) -> Callable[[Members], bytes]:
    return lambda members: b"".join([*entries(members), *pieces, ENDING])


@dataclass(frozen=True)
class OddMember:
    """A tar with a member that must not be used; `lost` are the records that it takes along."""

    name: str
    make: Callable[[Members], bytes]
    member: str
    said: tuple[str, ...] = ()
    lost: tuple[int, ...] = ()


ODD_MEMBERS = [
    OddMember("symbolic link", link(tarfile.SYMTYPE), "sa_2.jpg", ("regular file", "symbolic link"), (2,)),
    OddMember("hard link", link(tarfile.LNKTYPE), "sa_2.jpg", ("regular file", "hard link"), (2,)),
    OddMember("device", link(tarfile.CHRTYPE), "sa_2.jpg", ("regular file", "device"), (2,)),
    OddMember("named pipe", link(tarfile.FIFOTYPE), "sa_2.jpg", ("regular file", "pipe"), (2,)),
    OddMember("sparse file", link(tarfile.GNUTYPE_SPARSE), "sa_2.jpg", ("regular file", "sparse"), (2,)),
    OddMember("above the archive", with_entry(entry("../x", b"x")), "../x", ("inside the archive",)),
    OddMember("an image above", with_entry(entry("a/../../sa_7.jpg", b"x")), "a/../../sa_7.jpg", ("inside",)),
    OddMember("absolute", with_entry(entry("/etc/x", b"x")), "/etc/x", ("inside the archive",)),
    OddMember("an id again below a folder", with_entry(entry("b/sa_2.jpg", b"x")), "b/sa_2.jpg", ("id 2", "sa_2.jpg")),
    OddMember("the same name again", with_entry(entry("sa_2.json", b"{}")), "sa_2.json", ("id 2", "once")),
    OddMember("an id beyond int64", with_entry(entry(f"sa_{10**20}.jpg", b"x")), f"sa_{10**20}.jpg", ("id",)),
    OddMember("digits of another script", with_entry(entry("sa_٧.jpg", b"x")), "sa_٧.jpg"),
    OddMember("zeros before the id", with_entry(entry("sa_007.jpg", b"x")), "sa_007.jpg"),
]  # fmt: skip

each_odd_member = pytest.mark.parametrize("odd", ODD_MEMBERS, ids=lambda odd: odd.name)
each_compression = pytest.mark.parametrize("pack_bytes", PACK_BYTES.values(), ids=PACK_BYTES)


@each_compression
@each_odd_member
def test_an_odd_member_stops_the_run(
    odd: OddMember,
    pack_bytes: Callable[[bytes], bytes],
    run: Run,
    members: Members,
    tmp_path: Path,
    published: Path,
) -> None:
    source = tmp_path / "sa_000000.tar"
    source.write_bytes(pack_bytes(odd.make(members)))
    outcome = check_refused(run, tmp_path, published, "--train", source)
    assert outcome.error.startswith(f"error: {source}: {odd.member}: expected ")
    assert all(word in outcome.error for word in ("found ", *odd.said)), outcome.error
    assert outcome.hint
    assert not (tmp_path.parent / "x").exists()


@each_compression
@each_odd_member
def test_an_odd_member_is_left_out(
    odd: OddMember,
    pack_bytes: Callable[[bytes], bytes],
    run: Run,
    members: Members,
    tmp_path: Path,
    digest_without: Callable[..., str],
) -> None:
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    source.write_bytes(pack_bytes(odd.make(members)))
    outcome = run("--train", source, "--out", out, "--parts", 2, "--on-bad-record", "skip")
    assert outcome.code == 0
    assert "rejected " in outcome.out
    assert build_of(out).name == digest_without(*odd.lost)
    assert odd.member in [reject["member"] for reject in rejects_of(out)]


@each_compression
@pytest.mark.parametrize("size_bytes", [2**28 + 1, 10**12, 2**60])
def test_a_member_of_a_huge_claimed_size(
    size_bytes: int, pack_bytes: Callable[[bytes], bytes], run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source = tmp_path / "sa_000000.tar"
    liar = entry("sa_7.jpg", b"not so much", size_bytes=size_bytes)
    source.write_bytes(pack_bytes(b"".join(entries(members)) + liar))
    outcome = check_refused(run, tmp_path, published, "--train", source)
    assert outcome.error.startswith(f"error: {source}: sa_7.jpg: expected at most ")
    assert f"found {size_bytes}" in outcome.error
    assert outcome.hint
    assert run("--train", source, "--out", tmp_path / "out", "--on-bad-record", "skip").code == 0
    assert ids_of(tmp_path / "out") == ALL_IDS
    assert "sa_7.jpg" in [reject["member"] for reject in rejects_of(tmp_path / "out")]


@pytest.mark.parametrize("prefix", ["a\nerror: x", "a\rerror: x", "a\x1b[2Jb", "a\x9b2Jb", "a\u202eb"])
@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_name_cannot_write_to_the_terminal(
    prefix: str, policy: str, run: Run, members: Members, tmp_path: Path
) -> None:
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    source.write_bytes(with_entry(entry(f"{prefix}/sa_7.jpg", b"x"))(members))
    outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
    if policy == "raise":
        assert outcome.code == 1
        assert outcome.error.startswith(f"error: {source}: ")
        assert all(character.isprintable() for character in outcome.error)
    else:
        assert outcome.code == 0
        assert [reject["member"] for reject in rejects_of(out)] == [f"{prefix}/sa_7.jpg"]


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_name_that_is_not_utf8(policy: str, run: Run, members: Members, tmp_path: Path) -> None:
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    piece = entry("#/sa_7.jpg", b"x")
    source.write_bytes(with_entry(checksummed(piece[:512].replace(b"#", b"\xff")) + piece[512:])(members))
    outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
    if policy == "raise":
        assert outcome.code == 1
        assert "sa_7.jpg" in outcome.error
        assert not out.exists()
    else:
        assert outcome.code == 0
        assert ids_of(out) == ALL_IDS
        assert rejects_of(out)[0]["member"].endswith("/sa_7.jpg")


# ------------------------------------------------------------------------------------------------ damaged tars


def whole_ids(tiny: Members, cut: int) -> list[int]:
    """The records that are whole in the first `cut` bytes of the tar of `tiny`."""
    end, whole = 0, []
    for name, content in tiny.items():
        end += len(entry(name, content))
        if name.endswith(".json") and end - (-len(content) % 512) <= cut:
            whole.append(int(name[3:-5]))
    return whole


def cuts(tiny: Members) -> list[int]:
    """Every block border, and places beside them and within blocks."""
    length = len(tar_bytes(tiny))
    return sorted({cut for border in range(0, length, 512) for cut in (border, border + 1, border + 257, border + 511)})


@pytest.mark.parametrize("as_url", [False, True], ids=["tar", "url"])
def test_a_truncated_tar_never_passes(as_url: bool, run: Run, tiny: Members, tmp_path: Path) -> None:
    whole, path, out = tar_bytes(tiny), tmp_path / "sa_000000.tar", tmp_path / "out"
    source = path.as_uri() if as_url else str(path)
    for cut in cuts(tiny)[:: 3 if as_url else 1]:
        path.write_bytes(whole[:cut])
        outcome = run("--train", source, "--out", out)
        if cut >= len(whole) - 512:  # the first of the two blocks that end an archive is there
            assert (cut, outcome.code) == (cut, 0)
            assert ids_of(out) == [1, 2, 3]
        else:
            assert (cut, outcome.code) == (cut, 1)
            assert outcome.error.startswith(f"error: {source}: "), cut
            assert not out.exists()


@pytest.mark.parametrize("as_url", [False, True], ids=["tar", "url"])
def test_what_is_whole_in_a_truncated_tar_comes_through(as_url: bool, run: Run, tiny: Members, tmp_path: Path) -> None:
    whole, path = tar_bytes(tiny), tmp_path / "sa_000000.tar"
    source = path.as_uri() if as_url else str(path)
    for cut in cuts(tiny)[5 :: 9 if as_url else 4]:
        if not whole_ids(tiny, cut) or cut >= len(whole) - 512:
            continue
        path.write_bytes(whole[:cut])
        out = tmp_path / f"out-{cut}"
        assert run("--train", source, "--out", out, "--on-bad-record", "skip").code == 0
        assert (cut, ids_of(out)) == (cut, whole_ids(tiny, cut))
        assert "end-of-archive" in "".join(reject["reason"] for reject in rejects_of(out))


@pytest.mark.parametrize("policy", ["raise", "skip"])
@each_compression
def test_a_tar_without_its_end(
    policy: str, pack_bytes: Callable[[bytes], bytes], run: Run, members: Members, tmp_path: Path
) -> None:
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    source.write_bytes(pack_bytes(b"".join(entries(members))))
    outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
    if policy == "raise":
        assert (outcome.code, out.exists()) == (1, False)
        assert "end-of-archive" in outcome.error
        assert "sa_6.json" in outcome.error
        assert outcome.hint
    else:
        assert (outcome.code, ids_of(out), len(rejects_of(out))) == (0, ALL_IDS, 1)


def damaged_header(header: bytes) -> bytes:
    return header[:10] + bytes([header[10] ^ 0x40]) + header[11:]


HOLES: dict[str, Callable[[list[bytes]], bytes]] = {
    "a flipped bit": lambda pieces: b"".join([*pieces[:4], damaged_header(pieces[4]), *pieces[5:], ENDING]),
    "a block of garbage": lambda pieces: b"".join([*pieces[:4], b"\xa5" * 512, pieces[4][512:], *pieces[5:], ENDING]),
    "a block of zeros": lambda pieces: b"".join([*pieces[:4], ZEROS, pieces[4][512:], *pieces[5:], ENDING]),
    "a block of zeros between": lambda pieces: b"".join([*pieces[:4], ZEROS, *pieces[4:], ENDING]),
    "an end in the middle": lambda pieces: b"".join([*pieces[:4], ENDING, *pieces[4:], ENDING]),
    "a record of zeros": lambda pieces: b"".join(
        [*pieces[:4], bytes(len(pieces[4]) + len(pieces[5])), *pieces[6:], ENDING]
    ),
}


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
@each_compression
def test_a_hole_in_a_tar_is_not_its_end(
    policy: str,
    hole: Callable[[list[bytes]], bytes],
    pack_bytes: Callable[[bytes], bytes],
    run: Run,
    members: Members,
    tmp_path: Path,
) -> None:
    """What comes after is lost: an error, or a line in the list of rejects, never silence."""
    source, out = tmp_path / "sa_000000.tar", tmp_path / "out"
    source.write_bytes(pack_bytes(hole(entries(members))))
    outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
    if outcome.code == 0 and ids_of(out) == ALL_IDS:
        return  # read past the hole: no record is lost
    if policy == "raise":
        assert (outcome.code, out.exists()) == (1, False)
        assert outcome.error.startswith(f"error: {source}: ")
        assert "sa_2.json" in outcome.error
        assert outcome.hint
    else:
        assert outcome.code == 0
        assert ids_of(out)[:2] == [1, 2]
        assert rejects_of(out)


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_truncated_gzip(policy: str, run: Run, tiny: Members, tmp_path: Path) -> None:
    whole, source = gzip.compress(tar_bytes(tiny), 1), tmp_path / "sa_000000.tar"
    for cut in (2, 5, 10, 11, 60, 300, len(whole) // 2, len(whole) * 9 // 10, len(whole) - 9, len(whole) - 4):
        source.write_bytes(whole[:cut])
        out = tmp_path / f"out-{cut}"
        outcome = run("--train", source, "--out", out, "--on-bad-record", policy)
        if policy == "raise" or outcome.code:
            assert outcome.code == 1
            assert outcome.error.startswith(f"error: {source}: ")
            assert "gzip" in outcome.error
            assert outcome.hint
            assert not out.exists()
        else:
            assert rejects_of(out)


def test_gzip_with_a_wrong_checksum(run: Run, tiny: Members, tmp_path: Path, published: Path) -> None:
    whole, source = gzip.compress(tar_bytes(tiny), 1), tmp_path / "sa_000000.tar"
    source.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    outcome = check_refused(run, tmp_path, published, "--train", source)
    assert "gzip" in outcome.error
    assert outcome.hint


def number(size_bytes: int) -> bytes:
    """A size as GNU tar writes those that octal digits cannot hold, negative ones too."""
    return (size_bytes % 2**96).to_bytes(12, "big")


def with_size(name: str, size_bytes: int) -> bytes:
    header = entry(name)
    return checksummed(header[:124] + number(size_bytes) + header[136:])


def extended_sparse(name: str) -> bytes:
    """A sparse member whose map goes on in a block that is not there."""
    header = entry(name, kind=tarfile.GNUTYPE_SPARSE)
    return checksummed(header[:482] + b"\1" + header[483:])


def pax(text: bytes) -> bytes:
    return entry("pax", text, kind=tarfile.XHDTYPE)


TRAPS: dict[str, Callable[[list[bytes]], bytes]] = {
    # Python below 3.11.14 reads a header that says "one block back" again, for ever (CVE-2025-8194).
    "a size below zero": lambda pieces: b"".join([*pieces, with_size("x", -512), ENDING]),
    "an image of a size below zero": lambda pieces: b"".join([*pieces[:2], with_size("sa_9.jpg", -512), *pieces[2:]]),
    "a size far below zero": lambda pieces: b"".join([*pieces[:2], with_size("x", -1024), *pieces[2:], ENDING]),
    "a sparse map that ends": lambda pieces: b"".join([*pieces, extended_sparse("sa_9.jpg")]),
    "a sparse map that ends, first": lambda pieces: extended_sparse("sa_9.jpg"),
    "a long name of nobody": lambda pieces: b"".join([*pieces, entry("@", b"name\0", kind=b"L"), ENDING]),
    "a long name of nobody, first": lambda pieces: entry("@", b"name\0", kind=b"L"),
    "pax of a size below zero": lambda pieces: b"".join([*pieces, pax(b"13 size=-512\n"), entry("y"), ENDING]),
    "pax that says nothing": lambda pieces: b"".join([*pieces, pax(b"0 a=b\n"), entry("y"), ENDING]),
    "pax of a bad sparse map": lambda pieces: b"".join(
        [*pieces, pax(b"26 GNU.sparse.map=a,b,c,d\n"), entry("y"), ENDING]
    ),
    # The record says 5 bytes, and hides what the header claims: a reader that believes both skips for ever.
    "a global pax record that hides a size": lambda pieces: b"".join(
        [*pieces, entry("pax", b"9 size=5\n", kind=tarfile.XGLTYPE), with_size("x", 2**95 + 2**87), ENDING]
    ),
    "a global pax record that hides a size, first": lambda pieces: b"".join(
        [entry("pax", b"9 size=5\n", kind=tarfile.XGLTYPE), with_size("x", 2**95 + 2**87)]
    ),
    # A regular expression of `tarfile` takes the square of this.
    "pax of digits": lambda pieces: b"".join([*pieces, pax(b"1" * 2**19), entry("y"), ENDING]),
    "pax of digits, first": lambda pieces: pax(b"1" * 2**19),
    "pax of a bad sparse map, first": lambda pieces: pax(b"26 GNU.sparse.map=a,b,c,d\n") + entry("y") + ENDING,
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_a_trap_for_tar_readers(trap: Callable[[list[bytes]], bytes], tiny: Members, tmp_path: Path) -> None:
    """Each of these once hung or crashed some reader; it is an error that names the archive, or does no harm."""
    sources = []
    for name, pack_bytes in PACK_BYTES.items():
        sources.append(tmp_path / f"sa_{name}.tar")
        sources[-1].write_bytes(pack_bytes(trap(entries(tiny))))
    for source, policy, ids, error in read_in_process(*sources):
        if error:
            assert error.startswith(f"{source}: ")
            assert "expected " in error
        else:
            assert policy == "skip" or ids == [1, 2, 3]


def test_pax_headers_that_cost_the_square(tiny: Members, tmp_path: Path) -> None:
    """Of time and of memory: `tarfile` takes a record's name to go to the next `=`, far behind the record's end, and
    gives each member a copy of what global headers say."""
    numbers = iter(range(2**20))
    many = [entry("pax", b"".join(b"14 %07d=x\n" % next(numbers) for _ in range(1000)), kind=tarfile.XGLTYPE)] * 100
    own = [piece for number in range(2000) for piece in (pax(b"6 a=b\n"), entry(f"x{number}"))]
    sources = [
        pax(b"2 " * 2**18 + b"=") + entry("y"),
        pax(b"3 \n" * 2**17 + b"=") + entry("y"),
        pax(b"6 a=b\n" * 2**17) + entry("y"),
        b"".join([*many, *own]),
        pax(b"6 a=b\n" * 9) + entry("y"),
    ]
    for number, head in enumerate(sources):
        (tmp_path / f"sa_{number}.tar").write_bytes(head + tar_bytes(tiny))
    found = read_in_process(*sorted(tmp_path.glob("*.tar")))
    assert len(found) == 10
    for place, policy, ids, error in found:
        if place.endswith("sa_4.tar"):
            assert ids == [1, 2, 3]
        elif policy == "raise":
            assert error.startswith(f"{place}: expected a ")
            assert "pax header" in error


def read_in_process(*sources: Path) -> list[tuple[str, str, list[int], str]]:
    """Read archives to their end under both policies, in a process with little memory and time.

    Returns:
        (source, policy, ids of the records, the error if there was one) of each reading.
    """
    code = (
        "import itertools, json, sys\n"
        "from asam_datasets.errors import AsamDatasetsError\n"
        "from asam_datasets.sources import BadRecords\n"
        "from asam_datasets.sources.sa1b import StreamSource, open_source\n"
        "for place, policy in itertools.product(sys.argv[1:], ('raise', 'skip')):\n"
        "    try:\n"
        "        source, bad = open_source(place), BadRecords(policy)\n"
        "        stream = isinstance(source, StreamSource)\n"
        "        records = source.records(bad) if stream else source.index(bad).records\n"
        "        result = [record.image_id for record in records], ''\n"
        "    except AsamDatasetsError as error:\n"
        "        result = [], str(error)\n"
        "    print(json.dumps([place, policy, *result]), flush=True)\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))

    command = [sys.executable, "-c", code, *map(str, sources)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False, preexec_fn=limit)
    assert (done.returncode, done.stderr) == (0, "")
    return [(line[0], line[1], sorted(line[2]), line[3]) for line in map(json.loads, done.stdout.splitlines())]


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_a_bomb_in_a_long_name(kind: bytes, tiny: Members, tmp_path: Path) -> None:
    """A few megabytes of gzip that become a name of four gigabytes."""
    size_bytes = 2**32
    zeros = gzip.compress(bytes(2**24), 1)
    source = tmp_path / "sa_000000.tar"
    with source.open("wb") as file:
        file.write(gzip.compress(b"".join(entries(tiny)) + entry("@", kind=kind, size_bytes=size_bytes), 1))
        for _ in range(size_bytes // 2**24):
            file.write(zeros)
    for place, policy, ids, error in read_in_process(source):
        assert error.startswith(f"{place}: ") or (policy == "skip" and ids == [1, 2, 3])
