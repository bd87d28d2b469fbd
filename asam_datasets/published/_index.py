"""The index of a dataset: all its manifests in one file, so that opening it costs the same for one archive as for a
thousand.

It is named by what it holds, and README names it. So README, index and builds are of one version at any moment, also in
a folder, where two files cannot be replaced at once; and who reads it knows that it is whole.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable

import msgspec

from asam_datasets.builds import Build, wrong_build
from asam_datasets.errors import TargetError
from asam_datasets.published._layout import index_path

_FORMAT = 1
_MOST_BYTES = 2**27  # a thousand archives of 32 parts take a quarter of it


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every visible build. To `closed` runs nobody adds anything any more, so that one pattern may show all that such a
    run has made."""

    format: int
    closed: list[str]
    builds: list[Build]


def encode_index(builds: Iterable[Build], closed: Iterable[str]) -> tuple[str, bytes]:
    """Path and content of the index of some builds. The same builds give the same path, in any order.

    Args:
        builds: with the runs that they lie in.
        closed: names of the runs that are closed.
    """
    ordered = sorted(builds, key=lambda build: (build.kind, build.name))
    text = msgspec.json.encode(Index(_FORMAT, sorted(closed), ordered))
    return index_path(_digest(text)), gzip.compress(text, 6, mtime=0)


def decode_index(path: str, content: bytes, where: str) -> Index:
    """Read an index.

    Raises:
        TargetError: it is none, or another than its name says.
    """
    found = ""
    try:
        reader = zlib.decompressobj(wbits=31)
        text = reader.decompress(content, _MOST_BYTES)
        if not reader.eof or reader.unused_data:
            found = f"one that is cut, or longer than {_MOST_BYTES // 2**20} MiB"
        elif index_path(_digest(text)) != path:
            found = "one with other content than its name says"
        else:
            index = msgspec.json.decode(text, type=Index)
            found = next(filter(None, map(wrong_build, index.builds)), "")
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = str(error)
    if found or index.format != _FORMAT:
        raise TargetError(
            f"expected an index of asam_datasets, found {found or f'format {index.format}'}",
            where=where,
            hint="The dataset was changed by hand or made by another version; publish it to a new place.",
        )
    return index


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]
