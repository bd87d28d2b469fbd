"""The program that reads HDF5 for `_hdf5.py`, in a process of its own. It imports nothing of this package.

in:   {"size": bytes that follow, "key": name, "shape": [height, width]} and a line's end, then the file
out:  {"dtype": as NumPy writes it, "size": bytes that follow}, then the map;
      or {"shape": [...]}, where it is another one, or {"problem": what is wrong}
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from typing import IO, Any


def serve(memory_bytes: int) -> None:
    """Answer requests until there are no more. Uses at most `memory_bytes` beyond what the libraries take."""
    import h5py
    import numpy as np

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    requests = os.fdopen(0, "rb")
    _limit(memory_bytes)
    while line := requests.readline():
        asked = json.loads(line)
        data = requests.read(asked["size"])
        try:
            found = _read(h5py, data, asked["key"], asked["shape"])
        except KeyError:
            found = {"problem": f"expected the key {asked['key']!r}, found none"}
        except Exception as error:  # noqa: BLE001 (a damaged file makes the library raise nearly anything)
            said = str(error).partition("\n")[0] or type(error).__name__
            found = {"problem": f"expected a readable HDF5 file, found one that fails with: {said}"}
        if isinstance(found, dict):
            _write(answers, found)
        else:
            found = np.ascontiguousarray(found)
            _write(answers, {"dtype": found.dtype.str, "size": found.nbytes}, found.data.cast("B"))
        del data, found


def _read(h5py: Any, data: bytes, key: str, shape: list[int]) -> Any:
    """The map, or what is wrong."""
    with h5py.File(io.BytesIO(data), "r") as file:
        # Links, virtual maps and outside storage name other files of this machine.
        if isinstance(file.get(key, getlink=True), (h5py.SoftLink, h5py.ExternalLink)):
            return {"problem": f"expected integers under the key {key!r}, found a link"}
        values = file[key]
        if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "iu":
            return {"problem": f"expected integers under the key {key!r}, found something else"}
        if values.is_virtual or values.external:
            return {"problem": "expected the map in the file itself, found that it lies outside"}
        if list(values.shape) != shape:
            return {"shape": list(values.shape)}
        return values[()]


def _write(answers: IO[bytes], header: dict[str, Any], content: Any = b"") -> None:
    answers.write(json.dumps(header).encode() + b"\n")
    while len(content):
        content = content[answers.write(content) :]


def _limit(memory_bytes: int) -> None:
    """Of what cannot be asked for, the library says that it is not there; no core is left behind."""
    try:
        import resource
    except ImportError:  # not on this system
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/statm", "rb") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory_bytes, taken + memory_bytes))


if __name__ == "__main__":
    # The folder of this file is no place for modules of others.
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    serve(int(sys.argv[1]))
