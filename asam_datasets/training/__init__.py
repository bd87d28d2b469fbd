"""Samples and streams for training: `pip install 'asam_datasets[train]'` (torch, torchdata, simplejpeg).

    from functools import partial
    from torchdata.stateful_dataloader import StatefulDataLoader
    from asam_datasets.training import SamOptions, open_stream, sam_batch

    stream = open_stream("xhk/ASAM-Datasets", "sam", seed=0)
    collate = partial(sam_batch, options=SamOptions())
    loader = StatefulDataLoader(stream, batch_size=4, num_workers=2, collate_fn=collate)

The functions that make samples take records of any origin: rows of these streams, and of stock `datasets`, map style
(`with_transform`: `sam_samples`) or streaming (`map`: `sam_sample`), best with images not decoded
(`cast_column("image", Image(decode=False))`).
"""

from __future__ import annotations

try:
    import simplejpeg as _simplejpeg  # noqa: F401
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"expected the packages for training, found no {error.name}: pip install 'asam_datasets[train]'",
        name=error.name,
    ) from error

from asam_datasets.training._controlnet import controlnet_batch as controlnet_batch
from asam_datasets.training._controlnet import controlnet_sample as controlnet_sample
from asam_datasets.training._controlnet import controlnet_samples as controlnet_samples
from asam_datasets.training._elastic import gather_state as gather_state
from asam_datasets.training._filter import Filter as Filter
from asam_datasets.training._frames import from_albumentations as from_albumentations
from asam_datasets.training._frames import from_tv_tensors as from_tv_tensors
from asam_datasets.training._frames import to_albumentations as to_albumentations
from asam_datasets.training._frames import to_tv_tensors as to_tv_tensors
from asam_datasets.training._geometry import Augment as Augment
from asam_datasets.training._geometry import fitted_shape as fitted_shape
from asam_datasets.training._images import decode_image as decode_image
from asam_datasets.training._images import open_image as open_image
from asam_datasets.training._images import resize_image as resize_image
from asam_datasets.training._mixture import Mixture as Mixture
from asam_datasets.training._mixture import open_mixture as open_mixture
from asam_datasets.training._open import open_stream as open_stream
from asam_datasets.training._options import Choose as Choose
from asam_datasets.training._options import ControlNetOptions as ControlNetOptions
from asam_datasets.training._options import SamOptions as SamOptions
from asam_datasets.training._packed import masks_on_device as masks_on_device
from asam_datasets.training._packed import unpack_masks as unpack_masks
from asam_datasets.training._sam import NO_POINT as NO_POINT
from asam_datasets.training._sam import normalize as normalize
from asam_datasets.training._sam import sam_batch as sam_batch
from asam_datasets.training._sam import sam_sample as sam_sample
from asam_datasets.training._sam import sam_samples as sam_samples
from asam_datasets.training._sampler import StreamSampler as StreamSampler
from asam_datasets.training._stream import Stream as Stream

__all__ = [
    "NO_POINT",
    "Augment",
    "Choose",
    "ControlNetOptions",
    "Filter",
    "Mixture",
    "SamOptions",
    "Stream",
    "StreamSampler",
    "controlnet_batch",
    "controlnet_sample",
    "controlnet_samples",
    "decode_image",
    "fitted_shape",
    "from_albumentations",
    "from_tv_tensors",
    "gather_state",
    "masks_on_device",
    "normalize",
    "open_image",
    "open_mixture",
    "open_stream",
    "resize_image",
    "sam_batch",
    "sam_sample",
    "sam_samples",
    "to_albumentations",
    "to_tv_tensors",
    "unpack_masks",
]
