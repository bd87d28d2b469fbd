"""The verbs of the command line, one module for each family; every module has a `register(app)`."""

from __future__ import annotations
