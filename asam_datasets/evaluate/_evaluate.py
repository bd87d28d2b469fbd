"""See `asam_datasets.evaluate`."""

from __future__ import annotations

from asam_datasets.errors import ModelError
from asam_datasets.evaluate._options import EvaluateOptions
from asam_datasets.evaluate._results import Evaluation
from asam_datasets.machine import AnyPath, path_of, text_of
from asam_datasets.models import import_transformers
from asam_datasets.progress import Listener


def evaluate(
    dataset: AnyPath,
    *,
    out: AnyPath,
    options: EvaluateOptions | None = None,
    listener: Listener | None = None,
) -> Evaluation:
    """Let a SAM find the masks of evaluation sets, and measure how well they fit.

    In one process, or in all that torchrun started. What was scored is appended to `*.jsonl` beside `out`, image by
    image; a run that was stopped or killed goes on from there, with any number of ranks and workers, and ends with the
    same bytes as one that was not.

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub, of which only images and annotations are
            fetched.
        out: the results as JSON; the table as Markdown and the scores of each mask are written beside it, under the
            same name.
        options: the model, the protocol and what is evaluated.
        listener: who follows the run; of each rank its own share.

    Returns:
        The same in each rank.

    Raises:
        SourceError: no such dataset, config or rows, a part is damaged, or the scores there are those of another
            model, protocol or dataset.
        RecordError: a row that cannot be used; the message names it.
        ModelError: the model or the checkpoint cannot be loaded or run here.
        TargetError: `out` cannot be written, or another process is at it.
        HubError: the Hub refused, or was not reached.
    """
    import_transformers("evaluate")
    try:
        from asam_datasets.evaluate._run import run
    except ModuleNotFoundError as error:
        raise ModelError(
            f"expected the packages for evaluation, found no {error.name}", hint="pip install 'asam_datasets[evaluate]'"
        ) from None
    return run(text_of(dataset), path_of(out), options or EvaluateOptions(), listener or Listener())
