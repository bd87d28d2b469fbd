"""What a repository ever held: whoever may see it may load any commit of any branch, tag or pull request."""

from __future__ import annotations

from asam_datasets.builds import BUILD_FILE, decode_build
from asam_datasets.errors import TargetError
from asam_datasets.published import KIND, HubClient, build_folders, check_commit
from asam_datasets.rights import Holding, Rights

_UNKNOWN = Rights("no manifest says what it is", "", "unknown")


def past_holdings(client: HubClient) -> list[Holding]:
    """Every build that is in some commit; of parts without a manifest, left by an unfinished publish, nothing is known.

    Takes a listing for each commit, so it is asked only before a private repository becomes public.

    Raises:
        HubError: refused, or not reached.
    """
    refs = client.call(
        "reading the references", client.api.list_repo_refs, client.repo_id, repo_type=KIND, include_pull_requests=True
    )
    found = (*refs.branches, *refs.tags, *(refs.pull_requests or ()))
    heads = {check_commit(ref.target_commit, client.url) for ref in found}
    commits: dict[str, None] = {}
    for head in sorted(heads):
        history = client.call(
            "reading the history", client.api.list_repo_commits, client.repo_id, repo_type=KIND, revision=head
        )
        commits.update((check_commit(commit.commit_id, client.url), None) for commit in history)
    known: dict[str, Holding] = {}
    unknown: dict[str, Holding] = {}
    for commit in commits:
        files = client.list_files(commit)
        for folder, name in build_folders(files).items():
            if folder in known:
                continue
            unknown[folder] = Holding(name, _UNKNOWN, True)
            if f"{folder}/{BUILD_FILE}" in files:
                try:
                    build = decode_build(client.read(f"{folder}/{BUILD_FILE}", commit) or b"", folder)
                except TargetError:
                    continue
                known[folder] = build.holding
    return [known.get(folder, holding) for folder, holding in sorted(unknown.items())]
