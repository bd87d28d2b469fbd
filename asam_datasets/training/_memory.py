"""Zeros for the tensors of samples and batches, which are large: 64 masks of 1024 × 1024 are 64 MB.

In a worker they lie in the memory through which a batch goes to the main process, so that it is not copied.

Elsewhere the memory of a tensor that is gone is used for the next one: to get it from the system, zeroed page by page,
and to give it back takes as long as to draw the masks four times over; to fill it with zeros a fifth of that.
"""

from __future__ import annotations

import functools
import math
import mmap
import weakref
from contextlib import suppress

import numpy as np
import torch
import torch.utils.data
from numpy.typing import NDArray

_LEAST_KEPT, _MOST_KEPT, _KEPT_AT_ONCE = 2**20, 2**29, 4
"""Bytes of a tensor whose memory is kept (smaller ones cost nothing, larger ones are too much to hold on to), and of
how many at once: those of one batch."""


_HUGE_PAGE = 2**21

_LARGEST_ON_HEAP = 2**25 - 2**16
"""Bytes of a block that glibc may keep on its heap, about."""


def zeros(shape: tuple[int, ...], dtype: torch.dtype, *, filled: bool = True) -> torch.Tensor:
    """Zeros of a type of 1 byte, or float32. Any thread may ask for them, and drop them.

    Args:
        shape: of the tensor.
        dtype: of the tensor.
        filled: False if all of it is written anyway: then anything may be in it.
    """
    keep_heap()
    size_bytes = math.prod(shape) * dtype.itemsize
    if torch.utils.data.get_worker_info() is not None:
        # As torch's own `default_collate` does; the system gives such memory as zeros.
        storage: torch.UntypedStorage = torch.UntypedStorage._new_shared(size_bytes)  # type: ignore[no-untyped-call]
        return torch.empty(0, dtype=dtype).set_(storage).view(shape)
    is_kept = _LEAST_KEPT <= size_bytes <= _MOST_KEPT
    content = _KEPT.zeros(size_bytes, filled) if is_kept else np.zeros(size_bytes, np.uint8)
    return torch.from_numpy(content).view(dtype).view(shape)


@functools.cache
def keep_heap() -> None:
    """Have glibc keep the memory of what a sample needs for a moment: an encoded image, its pixels resized one way, and
    so on, some 10 MB.

    From a size on, glibc takes blocks from the system each time, and gives what is free at the end of its heap back to
    it. Both sizes follow the largest block that was ever freed, up to 32 MiB. So one such block, which nobody touches,
    spares every sample some hundred pages of memory, and the time to get them anew. Up to 64 MiB stay with the process
    for that. Other allocators ignore it.
    """
    np.empty(_LARGEST_ON_HEAP, np.uint8)


def _new_zeros(size_bytes: int) -> NDArray[np.uint8]:
    """Zeros, uint8 (size_bytes,), on huge pages where the system has them.

    NumPy asks for those as well, but gets what the heap has lying about, if it has so much: on small pages, where to
    fill 64 MB takes three times as long. So it is memory of its own.
    """
    if size_bytes < 2 * _HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(size_bytes, np.uint8)
    room = mmap.mmap(-1, size_bytes + _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        room.madvise(mmap.MADV_HUGEPAGE)
    content = np.frombuffer(room, np.uint8)
    start = -content.ctypes.data % _HUGE_PAGE
    return content[start : start + size_bytes]


class _Kept:
    """Memory of large tensors that are gone, the last ones."""

    def __init__(self) -> None:
        self._free: dict[int, NDArray[np.uint8]] = {}  # by their place in memory

    def zeros(self, size_bytes: int, filled: bool) -> NDArray[np.uint8]:
        """Zeros, or anything if it need not be `filled`: uint8 (size_bytes,). No view may be made of the array itself,
        but of the tensor that holds it: the array tells when its memory is free."""
        memory = self._find(size_bytes)
        if memory is None:
            memory = _new_zeros(size_bytes)
        elif filled:
            memory[:size_bytes] = 0
        lent = memory[:size_bytes]
        weakref.finalize(lent, self._take_back, memory).atexit = False
        return lent

    def _find(self, size_bytes: int) -> NDArray[np.uint8] | None:
        """Free memory of this size up to twice of it (of more than that most would lie idle), the last that came."""
        for place, memory in reversed(tuple(self._free.items())):
            if size_bytes <= len(memory) <= 2 * size_bytes:
                found = self._free.pop(place, None)
                if found is not None:  # else another thread was faster
                    return found
        return None

    def _take_back(self, memory: NDArray[np.uint8]) -> None:
        self._free[memory.ctypes.data] = memory
        for place in tuple(self._free)[:-_KEPT_AT_ONCE]:
            self._free.pop(place, None)


_KEPT = _Kept()
