"""Answers of web servers that are no longer than what was asked for.

fsspec takes the body of an answer whole, however long it is: a server that never ends one fills the memory.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from asam_datasets.errors import SourceError

_MOST_BYTES = 64 * 2**20  # of an answer to a request that names no range: fsspec makes none for a large file
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


def options_for(location: str) -> dict[str, Any]:
    """What fsspec's system of a URL is opened with, so that it reads no more than it asked for."""
    return {"client_kwargs": {"response_class": _response()}} if re.match("https?://", location) else {}


@lru_cache(maxsize=1)
def _response() -> type:
    import aiohttp

    class BoundedResponse(aiohttp.ClientResponse):
        """An answer whose body ends where the range ends that was asked for."""

        async def read(self) -> bytes:
            asked = _RANGE.fullmatch(self.request_info.headers.get("Range", ""))
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
