"""`python -m asam_datasets.publish`: the main program."""

from __future__ import annotations

from asam_datasets.cli import publish_main

if __name__ == "__main__":
    publish_main()
