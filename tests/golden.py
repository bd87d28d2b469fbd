"""Print the digests of parts made from fixed input; `golden.json` holds what they have to be.

The JPEG is a literal and the masks are counted out here, so that no encoder but ours has a say. After a change on
purpose: python tests/golden.py > tests/golden.json
"""

import base64
import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rlemasklib import RLEMask

from asam_datasets.builds import ArchiveRecipe, Options, build, look_over
from asam_datasets.masks import to_segmentation
from asam_datasets.sources import BadRecords
from asam_datasets.sources.sa1b import open_source
from asam_datasets.workers import open_workers

# A grey JPEG of 24 × 16 pixels (height × width).
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71"
    "////m8H////6/+b9//j/wAALCAAYABABAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF"
    "BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW"
    "V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi"
    "4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AK9FFFFFf//Z"
)
HEIGHT, WIDTH = 24, 16


def annotation(number: int) -> dict[str, object]:
    """A mask of some rectangles, counted out by a linear congruence."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    state = number
    for _ in range(number % 4):
        state = (state * 1103515245 + 12345) % 2**31
        top, left = state % HEIGHT, state // 64 % WIDTH
        mask[top : top + 1 + state % 7, left : left + 1 + state % 5] = 1
    return {
        "id": number,
        "segmentation": to_segmentation(RLEMask.from_array(mask)),
        "bbox": [1.0, 2.5, 3.0, 4.0],
        "area": int(mask.sum()),
        "predicted_iou": 0.9375,
        "stability_score": 0.96875,
        "crop_box": [0.0, 0.0, WIDTH, HEIGHT],
        "point_coords": [[1.5, 2.25]],
    }


def main() -> None:
    """Build an archive of ten records and print what came out."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "sa_golden")
        folder.mkdir()
        for image_id in range(1, 11):
            image = {"image_id": image_id, "width": WIDTH, "height": HEIGHT, "file_name": f"sa_{image_id}.jpg"}
            annotations = [annotation(image_id * 7 + number) for number in range(image_id % 5)]
            (folder / f"sa_{image_id}.jpg").write_bytes(JPEG)
            (folder / f"sa_{image_id}.json").write_text(json.dumps({"image": image, "annotations": annotations}))
        with open_workers(1, lambda count: None) as workers:
            options = Options({"sa_1.jpg": "one picture", "sa_3.jpg": "drei Bilder, schön"}, parts=2)
            built = build(
                look_over(ArchiveRecipe(open_source(folder)), options),
                options,
                target=Path(scratch, "out"),
                work=Path(scratch, "work"),
                bad=BadRecords(),
                workers=workers,
            )
    versions = {name: importlib.metadata.version(name) for name in ("pyarrow", "zlib-ng", "rlemasklib")}
    parts = {part.file: part.sha256 for part in built.build.parts}
    print(json.dumps({"versions": versions, "folder": built.build.folder, "parts": parts}, indent=1))


if __name__ == "__main__":
    main()
