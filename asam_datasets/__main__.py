"""`python -m asam_datasets` is `asam-datasets`."""

from asam_datasets.cli import main

if __name__ == "__main__":
    main()
