"""All targets. A new one is a module with a `TARGET`, and its line here."""

from __future__ import annotations

from fuzz import (
    caption_files,
    hdf5,
    indexes,
    labelme,
    manifests,
    mask_images,
    masks,
    own_data,
    parts,
    polygons,
    readmes,
    sa1b_json,
    tars,
    zips,
)
from fuzz.target import Target

TARGETS: tuple[Target, ...] = (
    masks.TARGET,
    sa1b_json.TARGET,
    caption_files.TARGET,
    manifests.TARGET,
    indexes.TARGET,
    readmes.TARGET,
    tars.TARGET,
    zips.TARGET,
    own_data.TARGET,
    polygons.TARGET,
    labelme.TARGET,
    hdf5.TARGET,
    parts.TARGET,
    mask_images.TARGET,
)
