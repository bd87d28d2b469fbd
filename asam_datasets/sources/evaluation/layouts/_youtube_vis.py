"""YouTube-VIS JSON: masks of tracks per frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import check_shape
from asam_datasets.sources.evaluation._patterns import find
from asam_datasets.sources.evaluation._polygons import from_coco
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object, without_ending
from asam_datasets.sources.evaluation.layouts._json import JSONStruct, decode, encoded, load, locate, missing
from asam_datasets.sources.evaluation.layouts._structs import YouTubeVIS


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


class _Category(JSONStruct, frozen=True, gc=False):
    id: int
    name: str


class _Table(JSONStruct, frozen=True, gc=False):
    videos: list[_Video]
    annotations: list[_Track]
    categories: list[_Category] = msgspec.field(default_factory=list)


class _Parsed(NamedTuple):
    videos: dict[int, _Video]
    tracks: dict[int, list[tuple[int, _Track]]]
    names: dict[int, str]


_DECODER = msgspec.json.Decoder(_Table)


class YouTubeVISAdapter:
    """Each frame is an image; a track's entry for it is a mask, and null is none."""

    def index(self, layout: YouTubeVIS, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """The frames of all videos."""
        for part in layout.parts:
            for json, _ in sorted(find(folder.root, part.json)):
                for video in load(folder, json, _parse).videos.values():
                    for frame, file_name in enumerate(video.file_names):
                        member = f"{json}: video {video.id}: file_names[{frame}]"
                        try:
                            found = locate(folder, part.images, {"file_name": file_name}, member)
                        except RecordError as error:
                            folder.reject_error(bad, error, member)
                            continue
                        if found is not None:
                            yield EvaluationRef(*found, without_ending(file_name), (json,), f"{video.id}/{frame}")
                        elif layout.lone_images == "reject":
                            folder.reject(bad, missing(part.images, {"file_name": file_name}), member)

    def objects(
        self, layout: YouTubeVIS, folder: Folder, ref: EvaluationRef, shape: tuple[int, int]
    ) -> Iterator[Object]:
        """The masks in the order of the file; ids are those of the tracks."""
        parsed, video, frame = self._frame(folder, ref)
        check_shape((video.height, video.width), shape, folder.place(f"{ref.masks[0]}: video {video.id}"))
        for position, track in parsed.tracks.get(video.id, ()):
            if track.iscrowd and layout.crowds == "drop":
                continue
            where = folder.place(f"{ref.masks[0]}: $.annotations[{position}].segmentations[{frame}]")
            mask = from_coco(track.segmentations[frame], shape, where)
            if mask is not None:
                category = track.category_id
                name = None if category is None else parsed.names.get(category)
                yield Object(mask, track.id, category, name, bool(track.iscrowd))

    def evidence(self, layout: YouTubeVIS, folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
        """What the tracks say of this frame."""
        parsed, video, frame = self._frame(folder, ref)
        yield from encoded([video.height, video.width])
        for _, track in parsed.tracks.get(video.id, ()):
            if bytes(track.segmentations[frame]) == b"null":
                continue
            name = None if track.category_id is None else parsed.names.get(track.category_id)
            yield from encoded([track.id, track.category_id, name, int(track.iscrowd)])
            yield bytes(track.segmentations[frame])

    @staticmethod
    def _frame(folder: Folder, ref: EvaluationRef) -> tuple[_Parsed, _Video, int]:
        parsed = load(folder, ref.masks[0], _parse)
        video, _, frame = ref.key.partition("/")
        return parsed, parsed.videos[int(video)], int(frame)


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
