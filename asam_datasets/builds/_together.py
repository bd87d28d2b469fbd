"""What only shows when all archives are looked at together.

Streams cannot be looked over: what they hold is known when they were read, and `check_together` is called again then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from asam_datasets.errors import SKIP, CaptionsError, SourceError, option
from asam_datasets.sources import BadRecords, Reject, caption_id

_SHOWN = 5


def check_together(
    archives: Sequence[tuple[str, NDArray[np.int64]]],
    captions: Mapping[str, str],
    bad: BadRecords,
) -> list[str]:
    """Check what only shows when all archives are looked at: ids in two of them, captions of unknown images.

    Args:
        archives: (label, image ids) of all archives of the run.
        captions: caption by file name.
        bad: policy; under `skip` unknown captions are rejects.

    Returns:
        Names of the images that have a caption and are in no archive (under `skip`).

    Raises:
        SourceError: an image id is in two archives.
        CaptionsError: captions of unknown images, under the policy `raise`.
    """
    together = np.concatenate([ids for _, ids in archives]) if archives else np.zeros(0, np.int64)
    together.sort()
    twice = together[1:][together[1:] == together[:-1]]
    if len(twice):
        places = [label for label, ids in archives if twice[0] in ids]
        raise SourceError(
            f"expected image id {twice[0]} once, found it in {' and in '.join(places)} ({len(twice)} such ids)",
            hint="Was the same archive given twice?",
        )
    unknown = _unknown_captions(captions, together)
    if unknown and bad.policy == "raise":
        raise CaptionsError(
            f"expected captions of images in the archives, found {_some(unknown)} in none of them",
            where=option("captions"),
            hint=f"Is it the caption file of another archive? {SKIP} leaves such captions out.",
        )
    bad.rejects += [Reject("captions", name, "the image is in no archive") for name in unknown]
    return unknown


def missing_ids(ids: frozenset[int] | None, archives: Iterable[NDArray[np.int64]]) -> list[int]:
    """The ids that `ids` asks for and no archive has, sorted."""
    if ids is None:
        return []
    wanted = np.array(sorted(ids), np.int64)
    found = [array for array in archives if len(array)]
    return list(map(int, np.setdiff1d(wanted, np.concatenate(found) if found else [])))


def _unknown_captions(captions: Mapping[str, str], ids: NDArray[np.int64]) -> list[str]:
    names = list(captions)
    numbers = np.array([caption_id(name) for name in names], np.int64)
    known = np.isin(numbers, ids)
    return [name for name, ok in zip(names, known.tolist(), strict=True) if not ok]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
