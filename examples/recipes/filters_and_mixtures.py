"""Which records: decided by small columns before any image is fetched. Which stream next: by exact shares."""

from asam_datasets.training import Choose, Filter, SamOptions, open_mixture, open_stream, sam_sample

# A record needs three masks of predicted IoU 0.9; it keeps all its masks, so `Choose` says which of them are taken.
where = Filter(min_predicted_iou=0.9, min_masks=3, min_side=256)
options = SamOptions(size=256, choose=Choose(8, min_predicted_iou=0.9))
good = open_stream("demo-dataset", "sam", where=where, transform=lambda record: sam_sample(record, options))
print(len(good), "records;", [int(sample["valid"].sum()) for sample in good][:5], "masks in the first of them")

# Of any ten records seven are of the first stream. `stop` says when an epoch ends: here, when each had its turn once.
small = open_stream("demo-dataset", "sam", where=Filter(max_masks=30), columns=["image_id"])
large = open_stream("demo-dataset", "sam", where=Filter(min_masks=31), columns=["image_id"])
mixture = open_mixture([(small, 0.7), (large, 0.3)], stop="longest")
print([record["stream"] for record in mixture])
# ASAM's samples beside their originals: open_mixture([(sam, 0.5), (open_stream(DATASET, "adversarial"), 0.5)])
