"""SA-1B archives as a builder of `datasets`: imported, or as a loading script where `datasets` still runs those.

    SA1B(config_name="train", data_dir="sa_000000.tar").as_streaming_dataset(split="train")
    load_dataset("builders/sa1b.py", "train", data_dir="sa_000000.tar", trust_remote_code=True)   # datasets 3.6

`data_dir` is an archive (folder, tar, URL) or a folder of tars; `archives` names several. Thin on purpose: `datasets`
patches `open` and more inside the module that defines a builder, so nothing here opens anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from asam_datasets.builds import Slice, archive_slices, slice_tables
from asam_datasets.sources import read_captions
from asam_datasets.tables import TRAIN, VIEWS, features_json


@dataclass
class SA1BConfig(datasets.BuilderConfig):  # type: ignore[misc]
    """`captions` are caption files; `archives` are locations besides `data_dir`; `columns` come from the view."""

    captions: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    columns: list[str] | None = None


class SA1B(datasets.ArrowBasedBuilder):  # type: ignore[misc]
    """Builds the same rows as `asam_datasets.publish` publishes."""

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = SA1BConfig
    BUILDER_CONFIGS = [  # noqa: RUF012 (the contract of `datasets`)
        SA1BConfig(name=view.name, description=view.purpose, columns=list(view.columns) if view.columns else None)
        for view in VIEWS
    ]
    DEFAULT_CONFIG_NAME = VIEWS[0].name

    def _info(self) -> datasets.DatasetInfo:
        features = features_json(TRAIN)
        names = self.config.columns or features
        chosen = {name: feature for name, feature in features.items() if name in names}
        return datasets.DatasetInfo(features=datasets.Features.from_dict(chosen))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        locations = [*([self.config.data_dir] if self.config.data_dir else []), *self.config.archives]
        if not locations:
            raise ValueError("expected data_dir=... (an SA-1B archive: folder, tar or URL), found none")
        captions = read_captions(map(Path, self.config.captions))
        return [
            datasets.SplitGenerator(datasets.Split.TRAIN, gen_kwargs={"slices": archive_slices(locations, captions)})
        ]

    def _generate_tables(self, slices: list[Slice]) -> Iterator[tuple[tuple[int, int], pa.Table]]:
        for shard, part in enumerate(slices):
            for number, table in enumerate(slice_tables(part, self.config.columns)):
                yield (shard, number), table
