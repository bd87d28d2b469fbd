"""A small archive in the form of SA-1B, drawn in code: nothing is downloaded, nothing is bundled."""

from __future__ import annotations

from asam_datasets.demo._demo import DemoArchive as DemoArchive
from asam_datasets.demo._demo import draw_record as draw_record
from asam_datasets.demo._demo import write_demo as write_demo

__all__ = ["DemoArchive", "draw_record", "write_demo"]
