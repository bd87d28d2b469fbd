"""YouTube-VIS JSON: masks of tracks per frame."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import msgspec

from asam_datasets.errors import SourceError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources._polygons import check_shape, from_coco
from asam_datasets.sources.evaluation._records import EvaluationRef, Evidence, Folder, Object, without_ending
from asam_datasets.sources.evaluation.layouts._base import Crowds
from asam_datasets.sources.evaluation.layouts._json import Category, JSONLayout, JSONStruct, Listed, decode, load, lost


class _Video(JSONStruct, frozen=True, gc=False):
    id: int
    file_names: list[str]
    width: int
    height: int


class _Track(JSONStruct, frozen=True, gc=False):
    id: int
    video_id: int
    segmentations: list[msgspec.Raw]
    category_id: int | None = None
    iscrowd: int | bool = 0


class _Table(JSONStruct, frozen=True, gc=False):
    videos: list[_Video]
    annotations: list[_Track]
    categories: list[Category] = msgspec.field(default_factory=list)


class _Parsed(NamedTuple):
    videos: dict[int, _Video]
    tracks: dict[int, list[tuple[int, _Track]]]
    names: dict[int, str]

    def category(self, track: _Track) -> str | None:
        """The name of a track's category, where it has one."""
        return None if track.category_id is None else self.names.get(track.category_id)


_DECODER = msgspec.json.Decoder(_Table)


class YouTubeVIS(JSONLayout, frozen=True, kw_only=True, tag="youtube_vis"):
    """YouTube-VIS JSON: each frame of a video is an image, each track with a mask in it an object; null is none."""

    crowds: Crowds = "drop"

    def images(self, folder: Folder, json: str, bad: BadRecords) -> Iterator[Listed]:
        """The frames of all videos."""
        for video in load(folder, json, _parse).videos.values():
            for frame, name in enumerate(video.file_names):
                member = f"{json}: video {video.id}: file_names[{frame}]"
                yield Listed(member, {"file_name": name}, without_ending(name), f"{video.id}/{frame}")

    def evidence(self, folder: Folder, ref: EvaluationRef) -> Iterator[Evidence]:
        """What the tracks say of this frame, in the order of the file."""
        parsed = load(folder, ref.masks[0], _parse)
        identity, _, number = ref.key.partition("/")
        video, frame = parsed.videos.get(int(identity)), int(number)
        names = [] if video is None else video.file_names[frame : frame + 1]
        if video is None or [without_ending(name) for name in names] != [ref.image_id]:
            raise lost(folder, ref)
        said = [
            [track.id, track.category_id, parsed.category(track), int(track.iscrowd), track.segmentations[frame]]
            for _, track in parsed.tracks.get(video.id, ())
            if bytes(track.segmentations[frame]) != b"null"
        ]
        content = msgspec.json.encode([video.height, video.width, said])
        yield Evidence(content, partial(self._objects, folder.place(ref.masks[0]), parsed, video, frame))

    def _objects(
        self, place: str, parsed: _Parsed, video: _Video, frame: int, shape: tuple[int, int]
    ) -> Iterator[Object]:
        """The masks in the order of the file; ids are those of the tracks."""
        check_shape((video.height, video.width), shape, f"{place}: video {video.id}")
        for position, track in parsed.tracks.get(video.id, ()):
            if track.iscrowd and self.crowds == "drop":
                continue
            mask = from_coco(
                track.segmentations[frame], shape, f"{place}: $.annotations[{position}].segmentations[{frame}]"
            )
            if mask is not None:
                yield Object(mask, track.id, track.category_id, parsed.category(track), bool(track.iscrowd))


def _parse(data: bytes, where: str) -> _Parsed:
    table = decode(_DECODER, data, where, "YouTube-VIS JSON with masks")
    videos: dict[int, _Video] = {}
    for position, video in enumerate(table.videos):
        if videos.setdefault(video.id, video) is not video:
            raise SourceError(f"expected video {video.id} once, found it again", where=f"{where}: $.videos[{position}]")
    tracks: dict[int, list[tuple[int, _Track]]] = {}
    for position, track in enumerate(table.annotations):
        known = videos.get(track.video_id)
        if known is None or len(known.file_names) != len(track.segmentations):
            frames = "no such video" if known is None else f"{len(known.file_names)} frames"
            raise SourceError(
                f"expected one entry per frame of video {track.video_id}, "
                f"found {len(track.segmentations)} entries and {frames}",
                where=f"{where}: $.annotations[{position}].segmentations",
            )
        tracks.setdefault(track.video_id, []).append((position, track))
    return _Parsed(videos, tracks, {category.id: category.name for category in table.categories})
