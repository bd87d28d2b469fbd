"""Image files of anybody's making: five formats and no program, damage as one sentence, masks that are cut."""

from __future__ import annotations

import io
import json
import os
import random
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from evaluation_trees import SHAPE, TREES, grid
from PIL import EpsImagePlugin, Image, ImageFile

from asam_datasets.errors import RecordError, SegmentationError
from asam_datasets.images import FORMATS, check_whole, decoding, image_shape, open_image
from asam_datasets.masks import MAX_PIXELS, from_label_map
from asam_datasets.published._rows import EncodedImage
from asam_datasets.published._verify_records import _check_image, _same_pixels
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import EvaluationSource, load_catalog, open_evaluation
from asam_datasets.sources.evaluation._records import Object, annotate
from asam_datasets.training import sam_sample

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n%%EndComments\nshowpage\n%%EOF\n"


def encoded(form: str, mode: str = "RGB", **settings: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(content, form, **settings)
    return content.getvalue()


def mpo() -> bytes:
    """Two images, each with its own end: the first is the one that is shown."""
    return encoded("MPO", save_all=True, append_images=[Image.fromarray(PIXELS[::-1])])


def claiming(side: int) -> bytes:
    png = encoded("PNG")
    header = png[12:16] + 2 * side.to_bytes(4, "big") + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


def decoded(data: bytes) -> None:
    with open_image(data, "here") as image, decoding("here"):
        image.convert("RGB")


# ------------------------------------------------------------------------------------------------ what is opened


@pytest.mark.parametrize("form", FORMATS)
def test_five_formats(form: str) -> None:
    data = encoded(form)
    assert image_shape(data, "here") == (40, 60)
    with open_image(data, "here") as image, decoding("here"):
        assert np.asarray(image.convert("RGB")).shape == (40, 60, 3)
    others = tuple(one for one in FORMATS if one != form)
    with pytest.raises(RecordError, match=f"here: expected a .*, found {len(data)} bytes that start with b") as caught:
        open_image(data, "here", formats=others)
    assert caught.value.marked_hint == RecordError.usual_hint


@pytest.mark.parametrize("form", ["GIF", "PPM", "ICO", "TGA", "JPEG2000", "PCX"])
def test_no_other_format(form: str) -> None:
    data = encoded(form, mode="P" if form == "GIF" else "RGB")
    with pytest.raises(RecordError, match="expected a JPEG, PNG, TIFF, BMP or WebP, found"):
        open_image(data, "here")


def test_no_program_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives an EPS to Ghostscript; nothing of ours gives one to Pillow."""
    started: list[object] = []

    def ghostscript(*given: object, **more: object) -> object:
        started.append(given)
        return Image.new("L", (60, 40)).im

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ghostscript)
    with Image.open(io.BytesIO(EPS)) as image:
        image.load()
    assert len(started) == 1  # so this would see it
    assert [text for _, text in _check_image(EncodedImage(EPS), (40, 60), True)] == [
        f"expected an image that decodes, found {len(EPS)} bytes that start with b'%!PS-Ado'"
    ]
    assert not _same_pixels(EPS, encoded("PNG"))
    record = {"image": {"bytes": EPS}, "annotations": [], "image_id": 7}
    with pytest.raises(RecordError, match="7: image: expected an image that can be decoded, found"):
        sam_sample(record)
    assert len(started) == 1


@pytest.mark.parametrize("side", [8193, 12_000, 60_000])
def test_sizes_are_refused_before_a_pixel_is_decoded(side: int) -> None:
    """From 2^26 on; Pillow warns from 89 million pixels on and refuses from 179 million on."""
    with pytest.raises(RecordError, match=f"here: expected at most {MAX_PIXELS} pixels, found"):
        open_image(claiming(side), "here")
    assert open_image(claiming(8192), "here").size == (8192, 8192)


# ------------------------------------------------------------------------------------------------ damage


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            encoded("JPEG")[:-2],
            r"expected a whole JPEG, found .* cut after \d+ bytes \(no end-of-image marker\)",
        ),
        (encoded("JPEG")[:700], "expected a whole JPEG, found one that is cut after 700 bytes"),
        (encoded("PNG")[:-4], "expected a whole PNG, found one that is cut .* IEND"),
        (encoded("PNG") + bytes(57), "expected a whole PNG"),
        (encoded("WEBP")[:-1], r"expected a JPEG, PNG, TIFF, BMP or WebP, found \d+ bytes that start with b'RIFF"),
        (mpo()[:800], "expected a whole JPEG"),
        (encoded("PNG")[:20], "expected a JPEG, PNG, TIFF, BMP or WebP, found 20 bytes"),
        (b"", "expected a JPEG, PNG, TIFF, BMP or WebP, found 0 bytes"),
    ],
)
def test_cut_files(data: bytes, said: str) -> None:
    with pytest.raises(RecordError, match=f"^here: {said}"):
        image_shape(data, "here")


def test_whole_files() -> None:
    second = mpo().rindex(b"\xff\xd8\xff")
    preview = encoded("JPEG", exif=b"Exif\0\0" + encoded("JPEG", quality=5))
    for data in (mpo(), mpo()[: second + 900], encoded("PNG") + bytes(56), preview, encoded("JPEG", progressive=True)):
        assert image_shape(data, "here") == (40, 60)
    with pytest.raises(RecordError, match="expected a whole JPEG"):  # whose last end is that of the preview
        image_shape(preview[: len(preview) // 2 + 900], "here")
    with pytest.raises(RecordError, match="expected a whole JPEG"):
        check_whole(mpo()[: second + 900], "JPEG", "here")  # where an MPO is not what is expected
    with pytest.raises(RecordError, match="expected a whole PNG"):
        check_whole(encoded("PNG") + b"\0", "PNG", "here", spare_bytes=0)
    check_whole(encoded("BMP")[:99], "BMP", "here")


def test_damage_is_one_sentence() -> None:
    data = encoded("PNG", "P")
    for cut in (len(data) // 2, len(data) // 3):
        with pytest.raises(RecordError, match="here: expected a readable image, found one that fails with: ") as caught:
            decoded(data[:cut])
        assert "\n" not in str(caught.value)
    said = "there: expected a JPEG, found one that fails with: KeyError 3"
    with pytest.raises(RecordError, match=said) as caught, decoding("there", expected="a JPEG", hint="Look."):
        raise KeyError(3)
    assert caught.value.hint == "Look."
    with pytest.raises(SegmentationError, match="as it is"), decoding("here"):
        raise SegmentationError("as it is")
    with pytest.raises(AttributeError), decoding("here"):  # that is us
        raise AttributeError("x")


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_an_image_or_one_sentence(seed: int) -> None:
    draw = random.Random(seed)
    files = [encoded(form, mode) for form in ("PNG", "TIFF", "BMP") for mode in ("RGB", "L", "P", "1")]
    files += [encoded("TIFF", compression=one) for one in ("tiff_lzw", "packbits", "tiff_deflate")]
    files += [encoded("JPEG"), encoded("JPEG", "CMYK"), encoded("WEBP"), encoded("WEBP", lossless=True), mpo()]
    good, said = 0, []
    for number in range(1000):
        data = bytearray(files[number % len(files)])
        for _ in range(draw.choice((1, 2, 8))):
            place = draw.randrange(min(len(data), draw.choice((64, 400, 10**6))))
            data[place] = draw.choice((0, 255, draw.randrange(256)))
        if draw.random() < 0.3:
            del data[draw.randrange(8, len(data)) :]
        try:
            if image_shape(bytes(data), "here") <= (2000, 2000):
                decoded(bytes(data))
                good += 1
        except RecordError as error:
            said.append(str(error))
    assert all(one.startswith("here: expected ") for one in said)
    assert 100 < good < 900


# ------------------------------------------------------------------------------------------------ silence


def odd() -> bytes:
    """A PNG whose EXIF and palette Pillow has something to say about."""
    return encoded("PNG", "P", transparency=bytes(range(200)))


def test_metadata_is_passed_over_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="Palette images"), Image.open(io.BytesIO(odd())) as image:
            image.convert("RGB")
        decoded(odd())
        open_image(claiming(8192), "here")
        with pytest.raises(UserWarning, match="ours"), decoding("here"):
            warnings.warn("ours", UserWarning, stacklevel=1)


def test_threads_leave_the_warnings_as_they_were() -> None:
    """Two that overlap would put back each other's filters."""
    before = list(warnings.filters)
    first, second = threading.Event(), threading.Event()

    def overlap() -> None:
        with decoding("here"):
            first.set()
            second.wait(20)

    thread = threading.Thread(target=overlap)
    thread.start()
    first.wait(20)
    with decoding("here"):
        second.set()
        thread.join()
        decoded(odd())  # with warnings as errors
    assert list(warnings.filters) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_in_between_is_no_matter() -> None:
    before = list(warnings.filters)
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with decoding("here"):
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait(20)
    child = os.fork()
    if not child:
        decoded(odd())
        os._exit(0 if list(warnings.filters) == before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    leave.set()
    thread.join()
    assert list(warnings.filters) == before


# ------------------------------------------------------------------------------------------------ evaluation sets


def cut_palette(path: Path) -> None:
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    Image.fromarray(pixels).convert("P").save(content, "PNG")
    path.write_bytes(content.getvalue()[: len(content.getvalue()) // 2])


def records(source: EvaluationSource, bad: BadRecords) -> int:
    good = 0
    for ref in source.index(bad):
        try:
            good += source.read(ref) is not None
        except RecordError as error:
            bad.reject(error, archive=source.label, member=ref.file_name)
    return good


def mask_of(root: Path, pattern: str) -> Path:
    return sorted(root.rglob(pattern))[0]


@pytest.mark.parametrize(
    ("identity", "pattern"),
    [("hrsod_te", "HRSOD_test_mask/*.png"), ("ade20k", "*_seg.png"), ("cityscapes", "*_instanceIds.png")],
)
def test_a_cut_palette_mask_is_a_bad_record(identity: str, pattern: str, tmp_path: Path) -> None:
    TREES[identity](tmp_path)
    mask = mask_of(tmp_path, pattern)
    cut_palette(mask)
    source = open_evaluation(load_catalog()[identity], tmp_path)
    with pytest.raises(RecordError, match="expected a readable image, found one that fails with: ") as caught:
        records(source, BadRecords())
    assert str(caught.value).startswith(f"{source.label}: {mask.relative_to(tmp_path)}: ")
    assert caught.value.hint
    bad = BadRecords("skip")
    records(source, bad)
    assert [one.reason for one in bad.rejects] == [str(caught.value)]


def test_publish_names_the_cut_mask_and_goes_on_without_it(publish: Run, tmp_path: Path) -> None:
    TREES["hrsod_te"](tmp_path / "set")
    mask = mask_of(tmp_path / "set", "HRSOD_test_mask/*.png")
    cut_palette(mask)
    arguments = ("--evaluation", f"hrsod_te={tmp_path / 'set'}", "--out", tmp_path / "out")
    stopped = publish(*arguments)
    assert stopped.code == 1
    assert f"HRSOD_test_mask/{mask.name}: expected a readable image, found" in stopped.err
    assert "room" not in stopped.err
    assert "--on-bad-record skip" in stopped.err
    went_on = publish(*arguments, "--on-bad-record", "skip")
    assert went_on.code == 0, went_on.err
    (rejects,) = (tmp_path / "out").rglob("rejects.jsonl")
    assert mask.name in rejects.read_text()


def labels(value: int) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        import h5py

        for path in sorted(root.rglob("*.hdf5"))[:1]:
            content = grid([1, 2]).astype(np.uint64)
            content[content == 2] = value
            with h5py.File(path, "w") as file:
                file["dataset"] = content

    return spoil


def numbered(field: str, value: int) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        path = root / "annotations/instances_val2017.json"
        table = json.loads(path.read_text())
        table["annotations"][0][field] = value
        path.write_text(json.dumps(table))

    return spoil


@pytest.mark.parametrize(
    ("identity", "spoil", "said"),
    [
        ("hypersim", labels(2**63), "expected an id from -2^63 to 2^63 - 1, found 9223372036854775808"),
        ("hypersim", labels(2**64 - 1), "found 18446744073709551615"),
        ("coco2017_val", numbered("id", 2**63), "instances_val2017.json: image 11: expected an id from"),
        ("coco2017_val", numbered("id", -(10**30)), "found -1000000000000000000000000000000"),
        ("coco2017_val", numbered("category_id", 2**64), "expected the id of a category from -2^63 to"),
    ],
)
def test_numbers_of_more_than_64_bits_are_bad_records(
    identity: str, spoil: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    TREES[identity](tmp_path)
    source = open_evaluation(load_catalog()[identity], tmp_path)
    before = records(source, BadRecords())
    spoil(tmp_path)
    with pytest.raises(RecordError) as caught:
        records(source, BadRecords())
    assert said in str(caught.value)
    assert str(caught.value).startswith(source.label)
    assert "on_bad_record" in caught.value.hint
    bad = BadRecords("skip")
    assert records(source, bad) == before - 1
    assert len(bad.rejects) == 1


def test_numbers_of_64_bits_are_good() -> None:
    found = from_label_map(np.array([[2**63, 2**63 - 1, 0]], np.uint64))
    assert list(found) == [2**63 - 1, 2**63]
    annotations, _ = annotate([Object(found[2**63 - 1], 2**63 - 1, -(2**63))], "here")
    assert (annotations[0].id, annotations[0].category_id) == (2**63 - 1, -(2**63))


def test_pillow_set_to_take_cut_images_does_not_change_what_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as many a training script does
    with pytest.raises(RecordError, match="expected a whole JPEG"):
        image_shape(encoded("JPEG")[:700], "here")
