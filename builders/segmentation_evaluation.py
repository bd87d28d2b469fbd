"""Evaluation sets as a builder of `datasets`: imported, or as a loading script where `datasets` still runs those.

    SegmentationEvaluation(config_name="hrsod_te", data_dir="HRSOD").as_streaming_dataset(split="test")
    load_dataset("builders/segmentation_evaluation.py", "hrsod_te", data_dir="HRSOD", trust_remote_code=True)   # 3.6

`data_dir` is the folder of the set as its source lays it out: `asam-datasets catalog show hrsod_te` prints the tree.
Thin on purpose: `datasets` patches `open` and more inside the module that defines a builder, so nothing here opens
anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from asam_datasets.builds import Slice, evaluation_slices, slice_tables
from asam_datasets.sources.evaluation import EvaluationSource, load_catalog, open_evaluation
from asam_datasets.tables import columns_of, features_json


@dataclass
class SegmentationEvaluationConfig(datasets.BuilderConfig):  # type: ignore[misc]
    """`protocol` and `variant` choose the reading; `catalog` are TOML files with sets of the user's own."""

    protocol: str = "default"
    variant: str | None = None
    catalog: list[str] = field(default_factory=list)


class SegmentationEvaluation(datasets.ArrowBasedBuilder):  # type: ignore[misc]
    """Builds the same rows as `asam_datasets.publish --evaluation` publishes."""

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = SegmentationEvaluationConfig
    BUILDER_CONFIGS = [  # noqa: RUF012 (the contract of `datasets`)
        SegmentationEvaluationConfig(name=entry.id, description=entry.name) for entry in load_catalog().values()
    ]

    def _info(self) -> datasets.DatasetInfo:
        columns = columns_of("evaluation", self._source().extra)
        return datasets.DatasetInfo(features=datasets.Features.from_dict(features_json(columns)))

    def _source(self) -> EvaluationSource:
        """The set, in no folder."""
        entry = load_catalog([Path(path) for path in self.config.catalog])[self.config.name]
        return EvaluationSource(entry, Path(), self.config.protocol, self.config.variant)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        if not self.config.data_dir:
            raise ValueError("expected data_dir=... (the folder of the set), found none")
        known = self._source()
        source = open_evaluation(known.entry, self.config.data_dir, protocol=known.protocol, variant=known.variant)
        return [datasets.SplitGenerator(source.split, gen_kwargs={"slices": evaluation_slices(source)})]

    def _generate_tables(self, slices: list[Slice]) -> Iterator[tuple[tuple[int, int], pa.Table]]:
        for shard, part in enumerate(slices):
            for number, table in enumerate(slice_tables(part)):
                yield (shard, number), table
