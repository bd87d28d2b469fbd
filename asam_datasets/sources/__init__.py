"""Records in: bad records, captions, adversarial samples; SA-1B archives and evaluation sets have their own rooms."""

from __future__ import annotations

from asam_datasets.sources._adversarial import AdversarialRecord as AdversarialRecord
from asam_datasets.sources._adversarial import AdversarialRef as AdversarialRef
from asam_datasets.sources._adversarial import AdversarialSource as AdversarialSource
from asam_datasets.sources._adversarial import check_sample as check_sample
from asam_datasets.sources._bad import BadRecords as BadRecords
from asam_datasets.sources._bad import OnBadRecord as OnBadRecord
from asam_datasets.sources._bad import Reject as Reject
from asam_datasets.sources._captions import CaptionReport as CaptionReport
from asam_datasets.sources._captions import caption_id as caption_id
from asam_datasets.sources._captions import caption_report as caption_report
from asam_datasets.sources._captions import parse_captions as parse_captions
from asam_datasets.sources._captions import read_captions as read_captions
from asam_datasets.sources._ids import ListedIds as ListedIds
from asam_datasets.sources._ids import entries_of as entries_of
from asam_datasets.sources._ids import given_entries as given_entries
from asam_datasets.sources._ids import number_ids as number_ids
from asam_datasets.sources._ids import read_entries as read_entries
from asam_datasets.sources._ids import read_ids as read_ids
from asam_datasets.sources._ids import text_ids as text_ids
from asam_datasets.sources._lists import CAPTION_LIST as CAPTION_LIST
from asam_datasets.sources._lists import CONTROLNET_LIST as CONTROLNET_LIST
from asam_datasets.sources._lists import encode_captions as encode_captions
from asam_datasets.sources._lists import encode_lists as encode_lists

__all__ = [
    "CAPTION_LIST",
    "CONTROLNET_LIST",
    "AdversarialRecord",
    "AdversarialRef",
    "AdversarialSource",
    "BadRecords",
    "CaptionReport",
    "ListedIds",
    "OnBadRecord",
    "Reject",
    "caption_id",
    "caption_report",
    "check_sample",
    "encode_captions",
    "encode_lists",
    "entries_of",
    "given_entries",
    "number_ids",
    "parse_captions",
    "read_captions",
    "read_entries",
    "read_ids",
    "text_ids",
]
