"""Publish and print the peak memory of this process and of its largest worker, in bytes: python peak.py ARCHIVE OUT."""

import json
import resource
import sys
from pathlib import Path

from asam_datasets.publish import PublishOptions, publish

if __name__ == "__main__":
    publish(PublishOptions([sys.argv[1]], out=Path(sys.argv[2]), workers=2))
    peaks = {"parent": resource.RUSAGE_SELF, "worker": resource.RUSAGE_CHILDREN}
    print(json.dumps({who: resource.getrusage(which).ru_maxrss * 1024 for who, which in peaks.items()}))
