"""Published datasets, read in place: which builds are visible, and the rows of their parts.

A part is read row group by row group and column by column, from a folder or from the Hub.
"""

from __future__ import annotations

from asam_datasets.parts._dataset import Config as Config
from asam_datasets.parts._dataset import Dataset as Dataset
from asam_datasets.parts._dataset import open_dataset as open_dataset
from asam_datasets.parts._part import GroupReader as GroupReader
from asam_datasets.parts._part import PartFile as PartFile

__all__ = ["Config", "Dataset", "GroupReader", "PartFile", "open_dataset"]
