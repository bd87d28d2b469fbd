from asam_datasets.preview import show as show

__all__ = ["show"]
__version__: str
