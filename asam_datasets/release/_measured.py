"""What a record costs a reader, as `benchmarks/configs.py` measured it: run it again and put its lines here."""

from __future__ import annotations

from typing import NamedTuple


class Measured(NamedTuple):
    """One line of the table: seconds and bytes read for a record, by one process."""

    purpose: str
    config: str
    reader: str
    seconds: float
    size_bytes: int


MEASURED = (Measured("look at everything, masks as images", "train", "`datasets`", 1.0, 2_000_000),)
MEASURED_ON = "Measured."
