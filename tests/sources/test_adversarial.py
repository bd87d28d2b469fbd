"""ASAM's adversarial samples: what is read, and what is said about what is wrong."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.sources import AdversarialSource, BadRecords


def image(kind: str, height: int = 12, width: int = 20, seed: int = 0) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Samples 2, 10 and 300; the second is a JPEG."""
    for name in ("adv", "record", "pair"):
        (tmp_path / name).mkdir()
    for image_id, kind, number in ((2, "PNG", "0.125\n"), (10, "JPEG", " 7.5e-1"), (300, "PNG", "\ufeff1")):
        ending = {"PNG": "png", "JPEG": "jpg"}[kind]
        (tmp_path / "adv" / f"sa_{image_id}.{ending}").write_bytes(image(kind, seed=image_id))
        (tmp_path / "record" / f"sa_{image_id}.txt").write_text(number, "utf-8")
        (tmp_path / "pair" / f"sa_{image_id}.png").write_bytes(b"for people")
    (tmp_path / "adv" / ".DS_Store").write_bytes(b"left behind")
    return tmp_path


def test_samples_are_read(folder: Path) -> None:
    found = list(AdversarialSource(folder).records(BadRecords()))
    assert [(one.image_id, one.file_name, one.worst_iou) for one in found] == [
        (2, "sa_2.png", 0.125),
        (10, "sa_10.jpg", 0.75),
        (300, "sa_300.png", 1.0),
    ]
    assert [one.content for one in found] == [
        image("PNG", seed=2),
        image("JPEG", seed=10),
        image("PNG", seed=300),
    ]
    assert {(one.height, one.width) for one in found} == {(12, 20)}


def replaced(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


DEFECTS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no number": (removed("record/sa_2.txt"), "adv/sa_2.png", "expected record/sa_2.txt for it, found none"),
    "no image": (removed("adv/sa_2.png"), "record/sa_2.txt", "expected adv/sa_2.png (or .jpg) for it, found none"),
    "words": (replaced("record/sa_2.txt", b"bad luck"), "record/sa_2.txt", "from 0 to 1, found 'bad luck'"),
    "two numbers": (replaced("record/sa_2.txt", b"0.1 0.2"), "record/sa_2.txt", "found '0.1 0.2'"),
    "nothing": (replaced("record/sa_2.txt", b""), "record/sa_2.txt", "expected one number from 0 to 1, found ''"),
    "NaN": (replaced("record/sa_2.txt", b"nan"), "record/sa_2.txt", "found 'nan'"),
    "beyond 1": (replaced("record/sa_2.txt", b"1.5"), "record/sa_2.txt", "found '1.5'"),
    "below 0": (replaced("record/sa_2.txt", b"-0.1"), "record/sa_2.txt", "found '-0.1'"),
    "a long number": (replaced("record/sa_2.txt", b"0." + b"1" * 9999), "record/sa_2.txt", "found '0.111"),
    "bytes": (replaced("record/sa_2.txt", b"\xff\x00"), "record/sa_2.txt", "expected one number"),
    "twice": (replaced("adv/sa_2.jpg", image("JPEG")), "adv/sa_2.png", "found also adv/sa_2.jpg"),
    "cut PNG": (replaced("adv/sa_2.png", image("PNG")[:-20]), "adv/sa_2.png", "expected a whole PNG"),
    "cut JPEG": (replaced("adv/sa_10.jpg", image("JPEG")[:-9]), "adv/sa_10.jpg", "expected a whole JPEG"),
    "changed PNG": (
        replaced("adv/sa_2.png", image("PNG")[:80] + b"\0\0" + image("PNG")[82:]),
        "adv/sa_2.png",
        "expected a whole PNG",
    ),
    "a JPEG called PNG": (replaced("adv/sa_2.png", image("JPEG")), "adv/sa_2.png", "expected a whole PNG"),
    "a text": (replaced("adv/sa_2.png", b"<html>"), "adv/sa_2.png", "<html>"),
    "another name": (replaced("adv/cat.png", image("PNG")), "adv/cat.png", "found 'cat.png'"),
    "leading zeros": (replaced("adv/sa_02.png", image("PNG")), "adv/sa_02.jpg", "without leading zeros"),
    "another ending": (replaced("record/sa_2.log", b"0.5"), "record/sa_2.log", "found 'sa_2.log'"),
    "a folder": (lambda folder: (folder / "adv" / "sa_5.png").mkdir(), "adv/sa_5.png", "found 'sa_5.png'"),
}


@pytest.mark.parametrize(("spoil", "place", "said"), DEFECTS.values(), ids=DEFECTS)
def test_defects(spoil: Callable[[Path], None], place: str, said: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(RecordError) as raised:
        list(AdversarialSource(folder).records(BadRecords()))
    assert said in str(raised.value)
    assert Path(place).name in str(raised.value)
    assert raised.value.hint
    bad = BadRecords("skip")
    good = [one.image_id for one in AdversarialSource(folder).records(bad)]
    assert len(bad.rejects) == 1
    assert 300 in good
    assert len(good) >= 2


def test_another_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a folder with adv/ and record/, found no adv and no record"):
        AdversarialSource(tmp_path)
    (tmp_path / "adv").mkdir()
    (tmp_path / "record").mkdir()
    with pytest.raises(SourceError, match="expected adversarial samples, found none"):
        AdversarialSource(tmp_path).index(BadRecords())


def test_a_image_that_claims_gigabytes(folder: Path) -> None:
    content = bytearray(image("PNG"))
    content[16:24] = (2**15).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    (folder / "adv" / "sa_2.png").write_bytes(bytes(content))
    with pytest.raises(RecordError, match=r"expected (at most|a whole PNG)"):
        list(AdversarialSource(folder).records(BadRecords()))
