"""The main program: SA-1B archives and captions in, one complete dataset out, in a folder or on the Hub.

    python -m asam_datasets.publish --train sa_000000.tar --captions sa_000000-blip2-caption.json --out DIR

The same from Python: `publish(PublishOptions(train=["sa_000000.tar"], out=Path("DIR")))`.
"""

from __future__ import annotations

from asam_datasets.publishing import Listener as Listener
from asam_datasets.publishing import Plan as Plan
from asam_datasets.publishing import PublishOptions as PublishOptions
from asam_datasets.publishing import Summary as Summary
from asam_datasets.publishing import plan as plan
from asam_datasets.publishing import publish as publish

__all__ = ["Listener", "Plan", "PublishOptions", "Summary", "plan", "publish"]

if __name__ == "__main__":
    from asam_datasets.cli import publish_main

    publish_main()
