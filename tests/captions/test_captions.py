"""Caption files: the forms that are read, what is wrong with them, how they fit the images, how they are joined."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from archives import pack_folder, pack_tar, pack_url, tiny_members

from asam_datasets.captions import CaptionOptions, Generation, OutOfMemory, Settings, caption, merge, shard_path
from asam_datasets.errors import CaptionsError, ModelError, RecordError, SourceError, TargetError, option
from asam_datasets.sources import BadRecords, caption_report, encode_captions, encode_lists, read_captions
from asam_datasets.sources.sa1b import RawRecord

WANTED = {"sa_1.jpg": "a dog", "sa_2.jpg": "zwei Häuser", "sa_10.jpg": ""}


def lines(objects: Iterable[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in objects)


FORMS: dict[str, bytes] = {
    "lines": encode_captions(WANTED.items()),
    "caption as key": b"".join(json.dumps({"img": n, "caption": t}).encode() + b"\n" for n, t in WANTED.items()),
    "both keys": b"".join(
        json.dumps({"img": n, "caption": t, "prompt": t}).encode() + b"\n" for n, t in WANTED.items()
    ),
    "an object": json.dumps(WANTED).encode(),
    "an object over several lines": json.dumps(WANTED, indent=2).encode(),
    "ControlNet's list": encode_lists("sa_000000", [(1, "a dog"), (2, "zwei Häuser"), (10, "")])[
        "sa_000000-controlnet-train.json"
    ],
}


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_forms_that_are_read(content: bytes, bom: bytes, ending: bytes, tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes(bom + content.replace(b"\n", ending))
    assert read_captions([path]) == WANTED


def test_one_line_is_a_line_and_not_an_object_of_names(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text('{"img": "sa_1.jpg", "prompt": "a dog"}')
    assert read_captions([path]) == {"sa_1.jpg": "a dog"}
    path.write_text("{}")
    assert read_captions([path]) == {}


DIFFERENT = {
    "lines": b'{"img":"sa_1.jpg","prompt":"a dog"}\n{"img":"sa_1.jpg","prompt":"a cat"}\n',
    "an object": b'{"sa_1.jpg": "a dog", "sa_1.jpg": "a cat"}',
}


@pytest.mark.parametrize("content", DIFFERENT.values(), ids=DIFFERENT)
def test_two_captions_of_one_image(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes(content)
    with pytest.raises(CaptionsError, match=r"expected one caption for sa_1.jpg, found 'a dog' and 'a cat'") as raised:
        read_captions([path])
    assert str(path) in raised.value.where
    bad = BadRecords("skip")
    assert read_captions([path], bad) == {"sa_1.jpg": "a dog"}
    assert [reject.member for reject in bad.rejects] == ["sa_1.jpg"]


def test_a_torn_line_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes(FORMS["lines"][:-9])
    with pytest.raises(CaptionsError, match=r"line 3: expected .* found ") as raised:
        read_captions([path])
    assert "torn" in raised.value.hint
    bad = BadRecords("skip")
    assert len(read_captions([path], bad)) == 2
    assert [reject.member for reject in bad.rejects] == ["line 3"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"img": "sa_1.jpg", "prompt": "a", "caption": "b"}', "another text in `caption`"),
        ('{"prompt": "a"}', "no field `img`"),
        ('{"target": "sa_000000/", "img": "", "prompt": 5}', "got `int`"),
        ('{"img": "sa_1.jpg"}', "no field `prompt`"),
    ],
)
def test_lines_that_are_no_captions(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text('{"img": "sa_9.jpg", "prompt": "x"}\n' + line + "\n")
    with pytest.raises(CaptionsError, match="line 2: ") as raised:
        read_captions([path])
    assert said in str(raised.value)


def test_an_object_with_another_value(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text('{"sa_1.jpg": "a dog", "sa_2.jpg": ["a", "b"]}')
    with pytest.raises(CaptionsError, match=r'\$\["sa_2.jpg"\]: expected a text, found \["a", "b"\]'):
        read_captions([path])


def test_the_report_counts_what_does_not_fit() -> None:
    report = caption_report({"sa_1.jpg": "a", "sa_7.jpg": "b", "cat.jpg": "c"}, {1, 2, 3, 4, 5, 6, 8, 9, 10})
    assert (report.used, report.unknown) == (1, ["sa_7.jpg", "cat.jpg"])
    assert report.missing == [2, 3, 4, 5, 6, 8, 9, 10]
    unknown, missing = report.sentences()
    assert unknown == "2 captions of images that are in no archive: sa_7.jpg, cat.jpg"
    assert missing.startswith("8 images without a caption: sa_2.jpg, sa_3.jpg")
    assert missing.endswith("sa_6.jpg and 3 more")
    with pytest.raises(CaptionsError, match="expected a caption for every image, found 8 images without one"):
        report.require_all()
    whole = caption_report({"sa_1.jpg": "a"}, {1})
    whole.require_all()
    assert whole.sentences() == []


# ------------------------------------------------------------------------------------------------ captioning, any model


class Namer:
    """A captioner that says the size of the JPEG, with room for `room` images at once. `stop_after` batches it is
    interrupted, as by Ctrl-C."""

    def __init__(self, options: CaptionOptions, room: int = 1000, stop_after: int = 10**9) -> None:
        self.settings = Settings(
            model=options.model,
            revision="1",
            prompt=options.prompt,
            dtype="float32",
            generation=options.generation,
        )
        self.device, self.software = "none", {"namer": "1"}
        self.room, self.left = room, stop_after
        self.batches: list[int] = []
        self.seen: list[int] = []

    def prepare(self, raw: RawRecord) -> tuple[int, int]:
        if raw.jpeg == b"bad":
            raise RecordError("expected a JPEG, found 'bad'", where=raw.image)
        return raw.image_id, len(raw.jpeg)

    def caption(self, images: Sequence[Any], first_id: int) -> list[str]:
        if self.left == 0:
            raise KeyboardInterrupt
        if len(images) > self.room:
            raise OutOfMemory
        assert images[0][0] == first_id
        self.left -= 1
        self.batches.append(len(images))
        self.seen += [image_id for image_id, _ in images]
        return [f"a photo of {size} bytes" for _, size in images]


class Load:
    """Makes namers, and remembers them."""

    def __init__(self, **more: int) -> None:
        self.more = more
        self.made: list[Namer] = []

    def __call__(self, options: CaptionOptions) -> Namer:
        self.made.append(Namer(options, **self.more))
        return self.made[-1]


IDS = [3, 9, 10, 11, 100, 101, 102]
PACKS = {"tar": pack_tar, "folder": pack_folder, "stream": pack_url}


def seven(folder: Path, pack: Callable[..., str] = pack_tar, bad: int | None = None) -> str:
    """An archive of seven images that come in another order than that of their ids."""
    members = {}
    for image_id in reversed(IDS):
        jpeg, table = tiny_members(1, image_id).values()
        members |= {f"sa_{image_id}.json": table, f"sa_{image_id}.jpg": b"bad" if image_id == bad else jpeg}
    folder.mkdir(exist_ok=True)
    return pack(folder, members)


def names(path: Path) -> list[str]:
    return [json.loads(line)["img"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_the_file_is_in_the_order_of_the_archive(pack: Callable[..., str], tmp_path: Path) -> None:
    out, load = tmp_path / "out" / "captions.json", Load()
    done = caption(seven(tmp_path / "in", pack), out, options=CaptionOptions(batch_size=3), load=load)
    assert names(out) == [f"sa_{image_id}.jpg" for image_id in IDS]
    assert (done.images, done.new, done.rejected, done.batch_size) == (7, 7, 0, 3)
    assert load.made[0].batches == [3, 3, 1]
    assert sorted(path.name for path in out.parent.iterdir()) == ["captions.header.json", "captions.json"]
    header = json.loads((out.parent / "captions.header.json").read_text())
    assert header["archive"] == "sa_000000"
    assert header["settings"]["generation"] == msgspec.to_builtins(Generation())


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_an_interrupted_run_goes_on(pack: Callable[..., str], batches: int, tmp_path: Path) -> None:
    source, options = seven(tmp_path / "in", pack), CaptionOptions(batch_size=2)
    caption(source, tmp_path / "whole.json", options=options, load=Load())
    out, first, second = tmp_path / "captions.json", Load(stop_after=batches), Load()
    with pytest.raises(KeyboardInterrupt):
        caption(source, out, options=options, load=first)
    assert not out.exists()
    with open(tmp_path / "captions.partial", "ab") as file:
        file.write(b'{"img":"sa_9.jp')  # what a machine that lost its power may leave
    done = caption(source, out, options=options, load=second)
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert sorted(first.made[0].seen + second.made[0].seen) == IDS, "each image once"
    assert done.new == 7 - 2 * batches
    assert not (tmp_path / "captions.partial").exists()
    third = Load()
    assert caption(source, out, options=options, load=third).new == 0
    assert third.made[0].seen == []


OTHERS = {
    "model": CaptionOptions(model="another"),
    "prompt": CaptionOptions(prompt="a photo of"),
    "num_beams": CaptionOptions(generation=Generation(num_beams=5)),
    "temperature": CaptionOptions(generation=Generation(temperature=0.5)),
}


@pytest.mark.parametrize(("name", "options"), OTHERS.items(), ids=OTHERS)
def test_other_settings_do_not_continue_a_file(name: str, options: CaptionOptions, tmp_path: Path) -> None:
    source, out = seven(tmp_path / "in"), tmp_path / "captions.json"
    with pytest.raises(KeyboardInterrupt):
        caption(source, out, options=CaptionOptions(batch_size=2), load=Load(stop_after=1))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("captions*")}
    with pytest.raises(CaptionsError, match=f"found {name} .* there, .* here") as raised:
        caption(source, out, options=options, load=Load())
    assert option("out") in raised.value.marked_hint
    assert {path.name: path.read_bytes() for path in tmp_path.glob("captions*")} == before


def test_a_file_begun_when_shards_were_called_parts_is_continued(tmp_path: Path) -> None:
    source, out, header = seven(tmp_path / "in"), tmp_path / "captions.json", tmp_path / "captions.header.json"
    with pytest.raises(KeyboardInterrupt):
        caption(source, out, options=CaptionOptions(batch_size=2), load=Load(stop_after=1))
    assert json.loads(header.read_text())["shard"] == [1, 1]
    header.write_text(header.read_text().replace('"shard"', '"part"'))
    assert caption(source, out, load=Load()).new == 5


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    source, out = seven(tmp_path / "in"), tmp_path / "captions.json"
    out.write_text('{"img": "sa_3.jpg", "prompt": "mine"}\n')
    with pytest.raises(CaptionsError, match=r"expected captions.header.json beside it, found none"):
        caption(source, out, load=Load())
    assert out.read_text() == '{"img": "sa_3.jpg", "prompt": "mine"}\n'


def test_captions_of_another_archive_of_the_same_name(tmp_path: Path) -> None:
    out = tmp_path / "captions.json"
    caption(seven(tmp_path / "in"), out, load=Load())
    (tmp_path / "other").mkdir()
    with pytest.raises(CaptionsError, match="expected captions of images of this archive, found 7 others"):
        caption(pack_tar(tmp_path / "other", tiny_members(2)), out, load=Load())
    assert len(names(out)) == 7


def test_an_archive_that_grew_is_completed(tmp_path: Path) -> None:
    members, out, again = tiny_members(5), tmp_path / "captions.json", Load()
    caption(pack_tar(tmp_path, tiny_members(4, 2)), out, load=Load())
    done = caption(pack_tar(tmp_path, members), out, load=again)
    assert (done.new, again.made[0].seen) == (1, [1])
    assert names(out) == [f"sa_{image_id}.jpg" for image_id in range(1, 6)]


def test_out_of_memory_halves_the_batch_and_goes_on(tmp_path: Path) -> None:
    source, load, said = seven(tmp_path / "in"), Load(room=2), Said()
    options = CaptionOptions(batch_size=7)
    done = caption(source, tmp_path / "captions.json", options=options, load=load, listener=said)
    assert load.made[0].batches == [1] * 7
    assert load.made[0].seen == IDS
    assert done.batch_size == 1
    assert [text for text in said.texts if "Out of memory" in text] == [
        "Out of memory with 7 images at once: going on with 3",
        "Out of memory with 3 images at once: going on with 1",
    ]
    assert (said.totals, said.count) == ([7, 7, 7], 7)
    with pytest.raises(ModelError, match="expected room for one image"):
        caption(source, tmp_path / "more.json", options=options, load=Load(room=0))


class Said:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.totals: list[int | None] = []
        self.count = 0

    def on_stage(self, text: str) -> None:
        self.texts.append(text)

    def on_total(self, rows: int | None) -> None:
        self.totals.append(rows)

    def on_records(self, count: int) -> None:
        self.count += count


def test_a_bad_image_follows_the_policy(tmp_path: Path) -> None:
    source, out = seven(tmp_path / "in", bad=11), tmp_path / "captions.json"
    with pytest.raises(RecordError, match="found 'bad'"):
        caption(source, out, options=CaptionOptions(batch_size=1), load=Load())
    options = CaptionOptions(batch_size=2, on_bad_record="skip")
    done = caption(source, out, options=options, load=Load())
    assert (done.images, done.rejected) == (6, 1)
    assert names(out) == [f"sa_{image_id}.jpg" for image_id in IDS if image_id != 11]
    (reject,) = [json.loads(line) for line in (tmp_path / "captions.rejects.jsonl").read_text().splitlines()]
    assert reject["member"] == "sa_11.jpg"


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_shards_and_their_merge(pack: Callable[..., str], tmp_path: Path) -> None:
    source, out = seven(tmp_path / "in", pack), tmp_path / "captions.json"
    caption(source, tmp_path / "whole.json", load=Load())
    shards = [shard_path(out, (number, 3)) for number in (1, 2, 3)]
    assert shards[2].name == "captions.shard-3-of-3.json"
    for number in (1, 2):
        caption(source, out, options=CaptionOptions(shard=(number, 3)), load=Load())
    with pytest.raises(CaptionsError, match=r"expected each shard once, 1/3 to 3/3, found 1/3, 2/3"):
        merge(shards[:2], out)
    with pytest.raises(CaptionsError, match=r"no captions.shard-3-of-3.header.json"):
        merge(shards, out)
    with pytest.raises(KeyboardInterrupt):
        caption(source, out, options=CaptionOptions(shard=(3, 3), batch_size=1), load=Load(stop_after=1))
    with pytest.raises(CaptionsError, match="found one that is not complete"):
        merge(shards, out)
    caption(source, out, options=CaptionOptions(shard=(3, 3)), load=Load())
    assert sorted(len(names(path)) for path in shards) == [2, 2, 3]
    assert not out.exists()
    assert merge(shards[::-1], out).images == 7
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert caption(source, out, load=Load()).new == 0, "the merged file is one that `caption` knows"
    with pytest.raises(CaptionsError, match="expected each shard once"):
        merge([*shards, shards[0]], out)


def test_shards_of_other_settings_are_not_merged(tmp_path: Path) -> None:
    source, out = seven(tmp_path / "in"), tmp_path / "captions.json"
    for number, prompt in ((1, ""), (2, "a photo of")):
        caption(source, out, options=CaptionOptions(shard=(number, 2), prompt=prompt), load=Load())
    with pytest.raises(CaptionsError, match="found prompt '' there, 'a photo of' here"):
        merge([shard_path(out, (number, 2)) for number in (1, 2)], out)
    assert not out.exists()


def test_merge_replaces_nothing(tmp_path: Path) -> None:
    source, out = seven(tmp_path / "in"), tmp_path / "captions.json"
    caption(source, out, options=CaptionOptions(shard=(1, 2)), load=Load())
    caption(source, out, options=CaptionOptions(shard=(2, 2)), load=Load())
    out.write_text("mine")
    with pytest.raises(CaptionsError, match="expected no file there"):
        merge([shard_path(out, (number, 2)) for number in (1, 2)], out)
    assert out.read_text() == "mine"


def test_one_archive_at_a_time(tmp_path: Path) -> None:
    for number in (0, 1):
        (tmp_path / f"sa_00000{number}.tar").write_bytes(Path(seven(tmp_path / "in")).read_bytes())
    with pytest.raises(SourceError, match="expected one archive, found 2"):
        caption(tmp_path, tmp_path / "captions.json", load=Load())


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    source = seven(tmp_path / "in")
    (tmp_path / "file").touch()
    with pytest.raises(TargetError, match="expected to be able to write"):
        caption(source, tmp_path / "file" / "captions.json", load=Load())
    with pytest.raises(TargetError, match="expected a file, found a folder"):
        caption(source, tmp_path, load=Load())


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """No file may be larger than what 30 lines take, as if the disk had no more room."""
    source, out = pack_tar(tmp_path, tiny_members(60)), tmp_path / "captions.json"
    options = CaptionOptions(batch_size=8)
    caption(source, tmp_path / "whole.json", options=options, load=Load())
    whole = (tmp_path / "whole.json").read_bytes()
    room = sum(map(len, whole.splitlines(keepends=True)[:30])) + 10
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(TargetError, match=r"captions.partial: expected to be able to write, found: File too large"):
            caption(source, out, options=options, load=Load())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "captions.partial").read_bytes() == b"".join(whole.splitlines(keepends=True)[:30])
    again = Load()
    assert caption(source, out, options=options, load=again).new == 30
    assert again.made[0].seen == list(range(31, 61))
    assert out.read_bytes() == whole


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch_size": 0}, "batch_size of at least 1, found 0"),
        ({"threads": 0}, "threads of at least 1, found 0"),
        ({"generation": Generation(num_beams=0)}, "num_beams of at least 1, found 0"),
        ({"generation": Generation(temperature=-1.0)}, "temperature of at least 0"),
        ({"shard": (4, 3)}, "shard from 1/n to n/n, found 4/3"),
    ],
)
def test_options_out_of_range(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as raised:
        CaptionOptions(**wrong)
    assert said in str(raised.value)
