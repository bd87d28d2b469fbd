"""Published datasets to look at: still sheets, good enough for a card, pages for a browser to look into, and `show`,
which draws one record for a notebook.

Rows are read in place, and of them only what is shown: the row groups that hold them, without the PNGs of the masks.
"""

from __future__ import annotations

from asam_datasets.preview._options import MANY_MASKS as MANY_MASKS
from asam_datasets.preview._options import PreviewOptions as PreviewOptions
from asam_datasets.preview._palette import overlay_colors as overlay_colors
from asam_datasets.preview._panels import fit as fit
from asam_datasets.preview._panels import overlay as overlay
from asam_datasets.preview._preview import Preview as Preview
from asam_datasets.preview._preview import preview as preview
from asam_datasets.preview._rows import MAX_ROWS as MAX_ROWS
from asam_datasets.preview._sheet import Block as Block
from asam_datasets.preview._sheet import draw_sheet as draw_sheet
from asam_datasets.preview._sheet import make_grid as make_grid
from asam_datasets.preview._show import show as show

__all__ = [
    "MANY_MASKS",
    "MAX_ROWS",
    "Block",
    "Preview",
    "PreviewOptions",
    "draw_sheet",
    "fit",
    "make_grid",
    "overlay",
    "overlay_colors",
    "preview",
    "show",
]
