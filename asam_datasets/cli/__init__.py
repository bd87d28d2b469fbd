"""The command line: one module for each verb."""

from __future__ import annotations

from asam_datasets.cli._main import app as app
from asam_datasets.cli._main import main as main
from asam_datasets.cli._main import publish_main as publish_main

__all__ = ["app", "main", "publish_main"]
