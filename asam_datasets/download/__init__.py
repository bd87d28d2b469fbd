"""SA-1B archives onto a disk, by Meta's list of links."""

from __future__ import annotations

from asam_datasets.download._download import Archive as Archive
from asam_datasets.download._download import Downloaded as Downloaded
from asam_datasets.download._download import download as download
from asam_datasets.download._links import Link as Link
from asam_datasets.download._links import choose_links as choose_links
from asam_datasets.download._links import read_links as read_links

__all__ = ["Archive", "Downloaded", "Link", "choose_links", "download", "read_links"]
