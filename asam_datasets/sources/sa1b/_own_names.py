"""Names of images of one's own: those that captions use, and those in ASAM's folder, which knows SA-1B's alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from asam_datasets.errors import CaptionsError, option
from asam_datasets.sources.sa1b._records import RawRecord, RecordRef

_SA1B_NAME = re.compile(r"sa_[0-9]+\.jpg")


def is_own_name(name: str) -> bool:
    """Whether an image of one's own may be called so: a path that leads nowhere else, and that is none of SA-1B's."""
    path = PurePosixPath(name)
    return bool(path.name) and not (path.is_absolute() or ".." in path.parts or _SA1B_NAME.fullmatch(name))


def as_sa1b(raw: RawRecord) -> RawRecord:
    """A record of one's own under the name that SA-1B would give it (its image has to be a JPEG then); others as is."""
    if not raw.file_name:
        return raw
    table = json.loads(raw.json)
    table["image"]["file_name"] = name = f"sa_{raw.image_id}.jpg"
    return raw._replace(image=name, json=json.dumps(table).encode(), file_name="")


def canonical_captions(captions: Mapping[str, str], records: Iterable[RecordRef]) -> dict[str, str]:
    """Captions by the names that images of one's own have, under the names that SA-1B would give them (`sa_7.jpg` of
    image id 7), which all that comes later knows them by. Others stay as they are.

    An image is meant by its name in the table, by its path in the archive, or by its file's name alone where no other
    image of the archive has that.

    Raises:
        CaptionsError: an image has two captions under two of its names.
    """
    refs = [ref for ref in records if ref.own is not None]
    if not captions or not refs:
        return dict(captions)
    alone = Counter(PurePosixPath(ref.image.name).name for ref in refs)
    names: dict[str, int] = {}
    for ref in refs:
        base = PurePosixPath(ref.image.name).name
        if alone[base] == 1:
            names.setdefault(base, ref.image_id)
    names |= {ref.image.name: ref.image_id for ref in refs}
    names |= {ref.own.file_name: ref.image_id for ref in refs if ref.own is not None}
    found: dict[str, str] = {}
    for name, text in captions.items():
        number = names.get(name.removeprefix("./"))
        known = found.setdefault(name if number is None else f"sa_{number}.jpg", text)
        if known != text:
            problem = f"expected one caption for {name}, found {known!r} and {text!r} under another of its names"
            raise CaptionsError(problem, where=option("captions"), hint="Remove one of the two.")
    return found
