"""SA-1B archives, and data of one's own: folder, tar, zip, stream, organised folder; their JSON."""

from __future__ import annotations

from asam_datasets.sources.sa1b._folder import FolderSource as FolderSource
from asam_datasets.sources.sa1b._json import Annotation as Annotation
from asam_datasets.sources.sa1b._json import Record as Record
from asam_datasets.sources.sa1b._json import read_record as read_record
from asam_datasets.sources.sa1b._json import to_sa1b_json as to_sa1b_json
from asam_datasets.sources.sa1b._open import ARCHIVE_NAME as ARCHIVE_NAME
from asam_datasets.sources.sa1b._open import IndexedSource as IndexedSource
from asam_datasets.sources.sa1b._open import Source as Source
from asam_datasets.sources.sa1b._open import find_archives as find_archives
from asam_datasets.sources.sa1b._open import open_archives as open_archives
from asam_datasets.sources.sa1b._open import open_source as open_source
from asam_datasets.sources.sa1b._open import split_name as split_name
from asam_datasets.sources.sa1b._organized import check_organized as check_organized
from asam_datasets.sources.sa1b._organized import entries_of as entries_of
from asam_datasets.sources.sa1b._organized import find_captions as find_captions
from asam_datasets.sources.sa1b._own_names import as_sa1b as as_sa1b
from asam_datasets.sources.sa1b._own_names import canonical_captions as canonical_captions
from asam_datasets.sources.sa1b._own_names import is_own_name as is_own_name
from asam_datasets.sources.sa1b._records import MAX_MEMBER_BYTES as MAX_MEMBER_BYTES
from asam_datasets.sources.sa1b._records import Index as Index
from asam_datasets.sources.sa1b._records import RawRecord as RawRecord
from asam_datasets.sources.sa1b._records import RecordRef as RecordRef
from asam_datasets.sources.sa1b._records import check_member_size as check_member_size
from asam_datasets.sources.sa1b._records import member_id as member_id
from asam_datasets.sources.sa1b._records import select as select
from asam_datasets.sources.sa1b._stream import StreamSource as StreamSource
from asam_datasets.sources.sa1b._stream import check_tar as check_tar
from asam_datasets.sources.sa1b._stream import ends_as_a_tar as ends_as_a_tar
from asam_datasets.sources.sa1b._stream import without_secrets as without_secrets

__all__ = [
    "ARCHIVE_NAME",
    "MAX_MEMBER_BYTES",
    "Annotation",
    "FolderSource",
    "Index",
    "IndexedSource",
    "RawRecord",
    "Record",
    "RecordRef",
    "Source",
    "StreamSource",
    "as_sa1b",
    "canonical_captions",
    "check_member_size",
    "check_organized",
    "check_tar",
    "ends_as_a_tar",
    "entries_of",
    "find_archives",
    "find_captions",
    "is_own_name",
    "member_id",
    "open_archives",
    "open_source",
    "read_record",
    "select",
    "split_name",
    "to_sa1b_json",
    "without_secrets",
]
