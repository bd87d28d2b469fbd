"""Builders for `datasets`; in an installed package they are `asam_datasets.builders`."""
