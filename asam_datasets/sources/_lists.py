"""The two lists of ASAM's organised folder: captions, and ControlNet's training pairs.

The published dataset, `organize` and `export` all write them through `encode_lists`, so their bytes are the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

CAPTION_LIST = "-blip2-caption.json"
CONTROLNET_LIST = "-controlnet-train.json"


class CaptionLine(msgspec.Struct, frozen=True):
    """One line of `sa_000000-blip2-caption.json`: `{"img": "sa_1.jpg", "prompt": "a photo of ..."}`."""

    img: str
    prompt: str


class ControlNetLine(msgspec.Struct, frozen=True):
    """One line of `sa_000000-controlnet-train.json`: conditioning image, image, caption; paths from the top."""

    source: str
    target: str
    prompt: str


def encode_captions(captions: Iterable[tuple[str, str]]) -> bytes:
    """A caption file of (file name, caption) in the given order: JSON Lines, UTF-8, each line ended."""
    return msgspec.json.Encoder().encode_lines([CaptionLine(name, text) for name, text in captions])


def encode_lists(archive: str, captions: Iterable[tuple[int, str]]) -> dict[str, bytes]:
    """The caption file and the ControlNet list of one archive by file name; nothing without captions.

    Args:
        archive: its name, such as `sa_000000`.
        captions: (image id, caption) in the order of the archive.
    """
    pairs = list(captions)
    if not pairs:
        return {}
    lines = [ControlNetLine(f"{archive}/sa_{number}.png", f"{archive}/sa_{number}.jpg", text) for number, text in pairs]
    return {
        f"{archive}{CAPTION_LIST}": encode_captions((f"sa_{number}.jpg", text) for number, text in pairs),
        f"{archive}{CONTROLNET_LIST}": msgspec.json.Encoder().encode_lines(lines),
    }
