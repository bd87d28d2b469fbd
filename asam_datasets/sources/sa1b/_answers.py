"""Answers of web servers that are no longer than what was asked for, and all of one version of the file.

fsspec takes the body of an answer whole, however long it is: a server that never ends one fills the memory. And it asks
for range after range: an archive that is replaced in between would come half old and half new.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from asam_datasets.errors import SourceError

_MOST_BYTES = 64 * 2**20  # of an answer to a request that names no range: fsspec makes none for a large file
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_TOTAL = re.compile(r"bytes [\d*-]+/(\d+)")


def options_for(location: str) -> dict[str, Any]:
    """What fsspec's system of a URL is opened with, so that it reads no more than it asked for, of one file.

    The system is one of its own for each location, as it knows which version of the file is being read.
    """
    if not re.match("https?://", location):
        return {}
    return {"client_kwargs": {"response_class": _response(_Version())}, "skip_instance_cache": True}


class _Version:
    """What the first answer said of the file, which all later ones have to say as well."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def check(self, headers: Mapping[str, str]) -> None:
        """Compare an answer with those before it; what one of them leaves out is not compared.

        Raises:
            SourceError: it is of another version.
        """
        total = _TOTAL.fullmatch(headers.get("Content-Range", ""))
        says = {
            "ETag": headers.get("ETag", "").removeprefix("W/"),
            "size": total[1] if total else "",
            # The same file may lie on several hosts since different seconds: the date counts only without an ETag.
            "Last-Modified": "" if headers.get("ETag") else headers.get("Last-Modified", ""),
        }
        for name, value in says.items():
            before = self._said.setdefault(name, value) if value else ""
            if before != value:
                raise SourceError(
                    f"expected one version of the file to its end, found another ({name} {before}, then {value})",
                    hint="It was replaced while it was read: run the same command again.",
                )


def _response(version: _Version) -> type:
    import aiohttp

    class BoundedResponse(aiohttp.ClientResponse):
        """An answer whose body ends where the range ends that was asked for."""

        async def read(self) -> bytes:
            asked = _RANGE.fullmatch(self.request_info.headers.get("Range", ""))
            if asked:
                version.check(self.headers)
            most = int(asked[2]) - int(asked[1]) + 1 if asked else _MOST_BYTES
            blocks, size = [], 0
            async for block in self.content.iter_any():
                blocks.append(block)
                size += len(block)
                if size > most:
                    self.close()
                    raise SourceError(
                        f"expected an answer of at most {most} bytes, found a longer one",
                        hint="The server does not keep to ranges: download the archive, and give the file.",
                    )
            return b"".join(blocks)

    return BoundedResponse
