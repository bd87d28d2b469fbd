"""How well a SAM finds the masks of published sets: `pip install 'asam_datasets[evaluate]'` (torch, transformers).

Three protocols:

- `asam`, as ASAM's own program (`sam_continue_learning/main.py`): the image is squeezed to a square, bilinearly and
  without antialiasing; the prompt is the box of the mask at that size, or so many random points of it; one mask; its
  logits go bilinearly to the square, then to the size of the image; above 0 is the mask. IoU is averaged over the masks
  of an image, then over images. Where a mask has too few pixels for its points, the image is left out, as there. A mask
  that vanishes in the square has no box, and counts as 0 (there it gets a box of 10^8 pixels).
- `center-point`, as in SAM's paper (appendix D.1): the image is padded as SAM does it; the prompt is the point of the
  mask that is farthest from its border; of three masks the one that the model thinks best counts, and beside it the
  one that fits best (`oracle`). Mean over all masks.
- `box`: padded the same way, with the box of the mask in the image; one mask. Mean over all masks.

Beside the IoU of sets with fine outlines (HRSOD, BIG, DIS5K) stands their Boundary IoU (Cheng et al., CVPR 2021; a
boundary is 2 % of the diagonal wide).

Every image goes through the encoder once and alone, its prompts through the decoder in batches that depend on nothing
but their number, and all counts are whole pixels: so the numbers are the same for any number of processes.
"""

from __future__ import annotations

from asam_datasets.evaluate._evaluate import evaluate as evaluate
from asam_datasets.evaluate._options import DEFAULT_MODEL as DEFAULT_MODEL
from asam_datasets.evaluate._options import EvaluateOptions as EvaluateOptions
from asam_datasets.evaluate._options import Settings as Settings
from asam_datasets.evaluate._results import Evaluation as Evaluation
from asam_datasets.evaluate._results import SetResult as SetResult
from asam_datasets.evaluate._results import files_of as files_of
from asam_datasets.evaluate._results import notes_of as notes_of
from asam_datasets.evaluate._results import table_of as table_of

__all__ = [
    "DEFAULT_MODEL",
    "EvaluateOptions",
    "Evaluation",
    "SetResult",
    "Settings",
    "evaluate",
    "files_of",
    "notes_of",
    "table_of",
]
