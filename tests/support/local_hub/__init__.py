"""A Hugging Face Hub for the tests, over real HTTP.

It is spoken to by the real clients (`huggingface_hub`, `hf_xet`, `datasets`), each in a process of its own,
through `HF_ENDPOINT`:

    with LocalHub(tmp_path / "hub") as hub:
        subprocess.run([python, "-m", "asam_datasets.publish", ...], env=hub.environment(tmp_path / "home"))
        assert hub.log[-1].operations == [("file", "README.md")]

What a test can look at
    `hub.log` has every request (but that of the clients for the registry of agents), with the range it asked
    for, the bytes both ways, and for a commit its operations. `hub.files`, `hub.read_bytes`, `hub.commits`,
    `hub.settings`, `hub.tags`, `hub.branches` and `hub.pull_requests` show what is stored, `hub.stored_bytes`
    how much of it was ever uploaded, which with Xet the log cannot show. `hub.errors` holds the tracebacks of
    the server itself.

What a test can do
    `hub.inject(Fault(...))` breaks connections and answers. `hub.on_request` is called with every request
    before it is handled, `hub.after_request` when it has been performed and not yet answered: the places
    from which to kill a client. `hub.add_user` lets in other users; the token `hf_test` is `xhk`, who may
    write. Unknown tokens get 401, other people's namespaces 403, and private repositories are hidden.
    `LocalHub(..., limits=Limits())` enforces what the real Hub allows: requests in a window, commits in an
    hour, files; `hub.count_requests()` counts as it does.

How large files are stored
    With Xet, the token route names a folder as the CAS, and `hf_xet` fills it without any HTTP. Without it
    (`HF_HUB_DISABLE_XET=1`, which `environment(xet=False)` sets), by the LFS batch route and a PUT, of which
    size and sha256 are checked. Either way a commit that names an object which never arrived is refused.

Where it is not the Hub
    Datasets only. Downloads come from here, never by redirect nor through Xet, so that the log has every
    byte range. Whether a file is regular depends on its name, its size (10 MiB) and NUL bytes, not on
    `.gitattributes`. Left out are `.gitignore`, the checks of a card beyond the shape of its
    `configs`, multipart uploads, copies between repositories, diffs and comments of discussions.
"""

from .accounts import User
from .faults import Fault
from .hub import DEFAULT_TOKEN, DEFAULT_USER, LocalHub
from .limits import QUOTAS, Limits, Quota
from .model import Commit, FileEntry, PullRequest, Request, Settings
from .server import has_fixed_port

__all__ = [
    "DEFAULT_TOKEN",
    "DEFAULT_USER",
    "QUOTAS",
    "Commit",
    "Fault",
    "FileEntry",
    "Limits",
    "LocalHub",
    "PullRequest",
    "Quota",
    "Request",
    "Settings",
    "User",
    "has_fixed_port",
]
