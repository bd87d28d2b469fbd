"""Who somebody is and may do on the Hub, found out before anything is changed."""

from __future__ import annotations

from asam_datasets.errors import HubError, TargetError, option
from asam_datasets.published._answers import check_text, odd_answer
from asam_datasets.published._client import HubClient


def check_token(repo_id: str) -> None:
    """Check that there is a token.

    Raises:
        TargetError: there is none.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token is None or not token.isascii():
        raise TargetError(
            f"expected a token for the Hub, found {'none' if token is None else 'one with odd characters'}",
            where=repo_id,
            hint="Run `hf auth login`, or set HF_TOKEN to a token that may write.",
        )


def check_permission(client: HubClient, *, may_propose: bool) -> str:
    """Check that the token may write to the repository, or propose a change to it; gives the user's name.

    Raises:
        HubError: it may not, or the Hub was not reached.
    """
    me = client.call("logging in", client.api.whoami)
    namespace, where = client.repo_id.split("/")[0], client.api.endpoint
    try:
        name = check_text(me["name"], "the name of a user", where)
        mine = {name, *(check_text(one["name"], "the name of an organisation", where) for one in me.get("orgs") or ())}
        role = ((me.get("auth") or {}).get("accessToken") or {}).get("role", "write")
    except (KeyError, TypeError, AttributeError):
        raise odd_answer("a user", me, where) from None
    if namespace not in mine and not may_propose:
        raise HubError(
            f"expected a token that may write to {namespace}, found one of {name}",
            where=client.url,
            hint="Log in as its owner or as a member of the organisation (`hf auth login`), or use "
            f"{option('create_pr')}.",
        )
    if role == "read":
        raise HubError(
            "expected a token that may write, found one that may only read",
            where=client.url,
            hint="Make a token with write permission in your settings on the Hub, then `hf auth login`.",
        )
    return name
