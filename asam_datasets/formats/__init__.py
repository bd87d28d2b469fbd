"""A published dataset in the forms of other programs: COCO, YOLO, WebDataset, FiftyOne.

    out/<archive or set>/images/...  annotations.json  captions.json            coco
    out/<archive or set>/images/...  labels/*.txt      and out/data.yaml        yolo
    out/<archive or set>/<archive or set>-000000.tar ...                        webdataset
    out/<archive or set>/data/...    samples.json      metadata.json            fiftyone

One layer reads and checks (`_reading.py`), one keeps what is finished and shows a folder when it is whole
(`_export.py`), and each form is one module that says what becomes of an image. ASAM's own folder is in
`asam_datasets.organized`.
"""

from __future__ import annotations

from asam_datasets.formats._export import FORMS as FORMS
from asam_datasets.formats._export import export_form as export_form
from asam_datasets.formats._outline import outline as outline
from asam_datasets.formats._result import Exported as Exported
from asam_datasets.formats._result import FolderWritten as FolderWritten

__all__ = ["FORMS", "Exported", "FolderWritten", "export_form", "outline"]
