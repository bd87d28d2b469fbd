"""Routes about branches, tags, history, discussions and pull requests."""

from __future__ import annotations

from typing import Any

from .accounts import require_role, require_write
from .model import Commit, HubError, PullRequest
from .repo_routes import API, find
from .repository import Repository, now
from .routing import Call, Reply, Route, json_reply, route

LOG_PAGE_SIZE = 50


def create_branch(call: Call) -> Reply:
    """`HfApi.create_branch`."""
    repository = find(call)
    require_write(call.user, repository)
    branch = call.params["branch"]
    if branch in repository.branches:
        raise HubError(409, f"Reference already exists: refs/heads/{branch}")
    start = call.json().get("startingPoint") or "main"
    repository.branches[branch] = repository.resolve(start).sha
    return json_reply({})


def delete_branch(call: Call) -> Reply:
    """`HfApi.delete_branch`."""
    repository = find(call)
    require_write(call.user, repository)
    branch = call.params["branch"]
    if branch == "main":
        raise HubError(403, "The main branch cannot be deleted")
    if repository.branches.pop(branch, None) is None:
        raise HubError(404, f"Invalid rev id: {branch}", code="RevisionNotFound")
    return json_reply({})


def create_tag(call: Call) -> Reply:
    """`HfApi.create_tag`: the revision is in the address, the tag in the body."""
    repository = find(call)
    require_write(call.user, repository)
    body = call.json()
    commit = repository.resolve(call.params["rev"])
    if body["tag"] in repository.tag_refs:
        raise HubError(409, f"Tag reference exists already: {body['tag']}")
    repository.tag_refs[body["tag"]] = commit.sha
    repository.tag_messages[body["tag"]] = body.get("message", "")
    return json_reply({})


def delete_tag(call: Call) -> Reply:
    """`HfApi.delete_tag`: here the tag is in the address."""
    repository = find(call)
    require_write(call.user, repository)
    if repository.tag_refs.pop(call.params["rev"], None) is None:
        raise HubError(404, f"Invalid rev id: {call.params['rev']}", code="RevisionNotFound")
    return json_reply({})


def refs(call: Call) -> Reply:
    """`HfApi.list_repo_refs`."""
    repository = find(call)

    def listed(names: dict[str, str], prefix: str) -> list[dict[str, str]]:
        return [
            {"name": name.removeprefix("refs/pr/"), "ref": prefix + name, "targetCommit": sha}
            for name, sha in names.items()
        ]

    answer: dict[str, Any] = {
        "branches": listed(repository.branches, "refs/heads/"),
        "tags": listed(repository.tag_refs, "refs/tags/"),
        "converts": [],
    }
    if call.flag("include_prs"):
        answer["pullRequests"] = listed(repository.pull_refs, "")
    return json_reply(answer)


def commits(call: Call) -> Reply:
    """`HfApi.list_repo_commits`, newest first, in pages."""
    repository = find(call)
    history = repository.log(call.params["rev"])
    page = int(call.query.get("p", "0"))
    shown = history[page * LOG_PAGE_SIZE : (page + 1) * LOG_PAGE_SIZE]
    headers = {"X-Total-Count": str(len(history))}
    if (page + 1) * LOG_PAGE_SIZE < len(history):
        raw_path = call.http.scope["raw_path"].decode()
        headers["Link"] = f'<{call.state.url}{raw_path}?p={page + 1}>; rel="next"'
    return json_reply([_described(commit) for commit in shown], headers=headers)


def _described(commit: Commit) -> dict[str, Any]:
    return {
        "id": commit.sha,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": commit.author, "avatar": ""}],
        "date": commit.date,
    }


def _discussion(repository: Repository, item: PullRequest) -> dict[str, Any]:
    return {
        "num": item.num,
        "title": item.title,
        "author": {"name": item.author},
        "createdAt": item.date,
        "status": item.status,
        "isPullRequest": item.is_pull_request,
        "repo": {"name": repository.id, "type": "dataset"},
    }


def _event(kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"id": kind, "type": kind, "createdAt": now(), "author": {"name": author}, "data": data}


def _comment(author: str, text: str) -> dict[str, Any]:
    latest = {"raw": text, "html": text}
    return _event("comment", author, {"edited": False, "hidden": False, "latest": latest})


def discussions(call: Call) -> Reply:
    """`HfApi.get_repo_discussions`."""
    repository = find(call)
    wanted = call.query.get("type", "all")
    status = call.query.get("status", "all")
    items = [
        item
        for item in repository.discussions.values()
        if (wanted == "all" or item.is_pull_request == (wanted == "pull_request"))
        and (status == "all" or (item.status in ("open", "draft")) == (status == "open"))
    ]
    found = [_discussion(repository, item) for item in items] if call.query.get("p", "0") == "0" else []
    return json_reply({"count": len(found), "start": 0, "discussions": found})


def create_discussion(call: Call) -> Reply:
    """`HfApi.create_discussion` and `HfApi.create_pull_request`."""
    user = require_role(call.user)
    repository = find(call)
    body = call.json()
    title, description = str(body["title"]), str(body.get("description", ""))
    if body.get("pullRequest"):
        item = repository.open_pull_request(title, description, user.name)
    else:
        num = len(repository.discussions) + 1
        item = PullRequest(num, title, description, user.name, "open", now(), is_pull_request=False)
        repository.discussions[num] = item
    url = f"{call.state.url}/datasets/{repository.id}/discussions/{item.num}"
    return json_reply({"num": item.num, "url": url, "pullRequest": item.is_pull_request})


def discussion_details(call: Call) -> Reply:
    """`HfApi.get_discussion_details`."""
    repository = find(call)
    item = repository.discussion(int(call.params["num"]))
    answer = _discussion(repository, item)
    answer["events"] = [_comment(item.author, item.description)]
    if item.is_pull_request:
        answer["changes"] = {"base": item.base, "mergeCommitId": item.merge_sha}
        answer["filesWithConflicts"] = []
        answer["diff"] = ""
    return json_reply(answer)


def comment(call: Call) -> Reply:
    """`HfApi.comment_discussion`; the comment is answered and not kept."""
    user = require_role(call.user)
    find(call).discussion(int(call.params["num"]))
    return json_reply({"newMessage": _comment(user.name, str(call.json().get("comment", "")))})


def change_status(call: Call) -> Reply:
    """`HfApi.change_discussion_status`."""
    repository = find(call)
    user = require_role(call.user)
    item = repository.discussion(int(call.params["num"]))
    if item.author != user.name:
        require_write(user, repository)
    status = call.json().get("status")
    if item.status == "merged" or status not in ("open", "closed"):
        raise HubError(400, f"Discussion {item.num} is {item.status} and cannot become {status}")
    item.status = status
    return json_reply({"newStatus": _event("status-change", user.name, {"status": status})})


def merge(call: Call) -> Reply:
    """`HfApi.merge_pull_request`."""
    repository = find(call)
    user = require_write(call.user, repository)
    made = repository.merge(int(call.params["num"]), user.name)
    return json_reply({"status": "merged", "commitOid": made.sha})


ROUTES: list[Route] = [
    route("POST", API + "/branch/{branch}", create_branch),
    route("DELETE", API + "/branch/{branch}", delete_branch),
    route("POST", API + "/tag/{rev}", create_tag),
    route("DELETE", API + "/tag/{rev}", delete_tag),
    route("GET", API + "/refs", refs),
    route("GET", API + "/commits/{rev}", commits),
    route("GET", API + "/discussions", discussions),
    route("POST", API + "/discussions", create_discussion),
    route("GET", API + "/discussions/{num}", discussion_details),
    route("POST", API + "/discussions/{num}/merge", merge),
    route("POST", API + "/discussions/{num}/comment", comment),
    route("POST", API + "/discussions/{num}/status", change_status),
]
