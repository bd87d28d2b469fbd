"""Is a published dataset what it says it is? Asked at any time, of a folder or of a repository on the Hub."""

from __future__ import annotations

from asam_datasets.verification._report import Finding as Finding
from asam_datasets.verification._report import Report as Report
from asam_datasets.verification._verify import verify as verify

__all__ = ["Finding", "Report", "verify"]
