"""Mistakes that the types find: each line that ends in a code is one. See test_typed_user.py."""

from __future__ import annotations

from pathlib import Path

import asam_datasets
from asam_datasets import masks
from asam_datasets.captions import CaptionOptions
from asam_datasets.organized import export
from asam_datasets.preview import preview
from asam_datasets.progress import Listener
from asam_datasets.publish import PublishOptions, plan, publish
from asam_datasets.published import verify
from asam_datasets.training import open_stream

options = PublishOptions(out=["out"])  # arg-type
options.workers = 2  # misc
PublishOptions(on_bad_record="ignore")  # arg-type
name = plan(options).builds[0].nmae  # attr-defined
publish(options, Listener(), lambda planned: None)  # call-arg
rows: str = publish(options).rows  # assignment
verify("out", depp=True)  # call-arg
export("out")  # call-arg
preview("out", out=Path("sheet.png"), rows=[3])  # arg-type
CaptionOptions(shard="1/2")  # arg-type
Listener(on_records=lambda: None)  # arg-type
masks.to_png({"size": [4, 6]})  # typeddict-item
masks.decode({"size": [4, 6], "counts": "452M032"}, (4, 6, 3))  # arg-type
open_stream("out", ends="cut")  # arg-type
asam_datasets.show({}, sied=3)  # call-arg
