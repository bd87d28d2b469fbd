"""Routes about a repository as a whole: account, creation, settings, information, listings."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import yaml

from .accounts import not_found, require_role, require_user, require_write
from .git import git_blob_oid
from .model import Commit, FileEntry, HubError, Settings
from .repository import Repository
from .routing import Call, Reply, Route, json_reply, route

EXPANDED_PAGE_SIZE = 50


def find(call: Call) -> Repository:
    """The repository that the address names."""
    return call.state.find(f"{call.params['ns']}/{call.params['name']}", call.user)


def whoami(call: Call) -> Reply:
    """`HfApi.whoami`."""
    user = require_user(call.user)
    token = {"displayName": "test", "role": user.role, "createdAt": "2024-01-01T00:00:00.000Z"}
    return json_reply(
        {
            "type": "user",
            "id": git_blob_oid(user.name.encode())[:24],
            "name": user.name,
            "fullname": user.name,
            "email": f"{user.name}@example.invalid",
            "emailVerified": True,
            "isPro": False,
            "orgs": [{"type": "org", "name": name, "fullname": name} for name in user.orgs],
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


def _settings(body: dict[str, Any], before: Settings) -> Settings:
    private, gated = before["private"], before["gated"]
    if "visibility" in body:
        private = body["visibility"] == "private"
    elif "private" in body:
        private = bool(body["private"])
    if "gated" in body:
        if body["gated"] not in ("auto", "manual", False):
            raise HubError(400, f"Invalid gated: {body['gated']!r}")
        gated = body["gated"]
    return {"private": private, "gated": gated}


def create_repo(call: Call) -> Reply:
    """`HfApi.create_repo`: datasets only."""
    user = require_user(call.user)
    body = call.json()
    if body.get("type", "model") != "dataset":
        raise HubError(400, "The local Hub keeps datasets only")
    namespace = body.get("organization") or user.name
    if not user.owns(namespace) or user.role != "write":
        raise HubError(403, f'You don\'t have the rights to create a dataset under the namespace "{namespace}"')
    repo_id = f"{namespace}/{body['name']}"
    url = f"{call.state.url}/datasets/{repo_id}"
    if repo_id in call.state.repositories:
        return json_reply(
            {"error": "You already created this dataset repo", "url": url},
            409,
            {"X-Error-Message": "You already created this dataset repo"},
        )
    settings = _settings(body, {"private": False, "gated": False})
    call.state.create(namespace, body["name"], user, settings)
    return json_reply({"url": url, "name": repo_id, "id": repo_id})


def delete_repo(call: Call) -> Reply:
    """`HfApi.delete_repo`."""
    user = require_role(call.user)
    body = call.json()
    repo_id = f"{body.get('organization') or user.name}/{body['name']}"
    require_write(user, call.state.find(repo_id, user))
    call.state.repositories.pop(repo_id).objects.xet.delete()
    return json_reply({"status": "ok"})


def update_settings(call: Call) -> Reply:
    """`HfApi.update_repo_settings`."""
    repository = find(call)
    require_write(call.user, repository)
    repository.settings = _settings(call.json(), repository.settings)
    return json_reply(repository.settings)


def auth_check(call: Call) -> Reply:
    """`HfApi.auth_check`."""
    find(call)
    return json_reply({})


def auth_check_write(call: Call) -> Reply:
    """`HfApi.auth_check(write=True)`."""
    require_write(call.user, find(call))
    return json_reply({})


def front_matter(text: str) -> object:
    """The YAML block of a card, None when it has none; raises `yaml.YAMLError`."""
    head, _, rest = text.replace("\r\n", "\n").partition("---\n")
    if head.strip() or not rest:
        return None
    block, closing, _ = f"\n{rest}\n".partition("\n---\n")
    return yaml.safe_load(block) if closing else None


def card_errors(text: str) -> list[str]:
    """What the Hub would refuse in a card, as far as this one checks: the YAML and the shape of `configs`."""
    try:
        data = front_matter(text)
    except yaml.YAMLError as error:
        return [f"Invalid YAML: {error}"]
    if data is None:
        return []
    if not isinstance(data, dict):
        return ["The metadata must be a mapping"]
    configs = data.get("configs", [])
    if not isinstance(configs, list):
        return ['"configs" must be an array']
    for index, config in enumerate(configs):
        if not isinstance(config, dict) or not isinstance(config.get("config_name"), str):
            return [f'"configs[{index}].config_name" must be a string']
    names = [config["config_name"] for config in configs]
    return [f'"configs" names {name} twice' for name in sorted({n for n in names if names.count(n) > 1})]


def validate_yaml(call: Call) -> Reply:
    """What `create_commit` asks before it sends a README."""
    content = str(call.json().get("content", ""))
    errors = [{"message": message} for message in card_errors(content)]
    warnings = []
    if not content.startswith("---"):
        warnings.append({"message": "empty or missing yaml metadata in repo card"})
    return json_reply({"errors": errors, "warnings": warnings}, 400 if errors else 200)


def _sibling(path: str, entry: FileEntry, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path}
    if blobs:
        sibling |= {"size": entry.size, "blobId": entry.git_oid}
        if entry.lfs:
            sibling["lfs"] = {"size": entry.size, "sha256": entry.oid, "pointerSize": entry.pointer_size}
    return sibling


def dataset_info(call: Call) -> Reply:
    """`HfApi.dataset_info`, which `datasets` and `HfFileSystem` ask first."""
    repository = find(call)
    commit = repository.resolve(call.params.get("rev", "main"))
    card = commit.tree.get("README.md")
    try:
        data = front_matter(repository.objects.path(card).read_text()) if card else None
    except (yaml.YAMLError, UnicodeDecodeError):
        data = None
    return json_reply(
        {
            "_id": git_blob_oid(repository.id.encode())[:24],
            "id": repository.id,
            "author": repository.namespace,
            "sha": commit.sha,
            "lastModified": commit.date,
            "createdAt": repository.created,
            "private": repository.settings["private"],
            "gated": repository.settings["gated"],
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "cardData": _plain(data) if isinstance(data, dict) else {},
            "siblings": [_sibling(path, entry, call.flag("blobs")) for path, entry in sorted(commit.tree.items())],
            "usedStorage": sum(entry.size for entry in commit.tree.values()),
        }
    )


def _plain(value: object) -> object:
    """YAML as JSON: dates become text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _describe(path: str, entry: FileEntry | None, commit: Commit, expand: bool) -> dict[str, Any]:
    """A file, or a folder when there is no entry, as the listings show it."""
    if entry is None:
        described: dict[str, Any] = {"type": "directory", "oid": commit.folders[path], "size": 0, "path": path}
    else:
        described = {"type": "file", "oid": entry.git_oid, "size": entry.size, "path": path}
        if entry.lfs:
            described["lfs"] = {"oid": entry.oid, "size": entry.size, "pointerSize": entry.pointer_size}
    if expand:
        described["lastCommit"] = {"id": commit.sha, "title": commit.title, "date": commit.date}
    return described


def _listing(commit: Commit, folder: str, recursive: bool) -> dict[str, FileEntry | None]:
    prefix = f"{folder}/" if folder else ""
    listing: dict[str, FileEntry | None] = {}
    for path, entry in commit.tree.items():
        if path.startswith(prefix):
            parts = path[len(prefix) :].split("/")
            for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
                listing[prefix + "/".join(parts[:depth])] = None
            if recursive or len(parts) == 1:
                listing[path] = entry
    return listing


def tree(call: Call) -> Reply:
    """`HfApi.list_repo_tree`, in pages."""
    repository = find(call)
    commit = repository.resolve(call.params["rev"])
    folder = call.params.get("path", "").strip("/")
    recursive, expand = call.flag("recursive"), call.flag("expand")
    listing = sorted(_listing(commit, folder, recursive).items())
    if folder and not listing:
        raise HubError(404, f"{folder} does not exist on {call.params['rev']!r}", code="EntryNotFound")
    size = min(call.state.page_size, EXPANDED_PAGE_SIZE) if expand else call.state.page_size
    start = int(call.query.get("cursor", "0"))
    headers = {}
    if start + size < len(listing):
        query = urlencode({**call.query, "cursor": start + size})
        raw_path = call.http.scope["raw_path"].decode()
        headers["Link"] = f'<{call.state.url}{raw_path}?{query}>; rel="next"'
    page = listing[start : start + size]
    return json_reply([_describe(path, entry, commit, expand) for path, entry in page], headers=headers)


def paths_info(call: Call) -> Reply:
    """`HfApi.get_paths_info`: what is missing is left out."""
    commit = find(call).resolve(call.params["rev"])
    form = call.form()
    expand = form.get("expand", ["false"])[0].lower() == "true"
    found = []
    for path in form.get("paths", []):
        name = path.strip("/")
        if name in commit.tree:
            found.append(_describe(name, commit.tree[name], commit, expand))
        elif _listing(commit, name, recursive=False):
            found.append(_describe(name, None, commit, expand))
    return json_reply(found)


def unknown_repo_type(call: Call) -> Reply:
    """Models and spaces do not exist here, which their own routes say like the Hub does."""
    raise not_found(call.user)


API = "/api/datasets/{ns}/{name}"
ROUTES: list[Route] = [
    route("GET", "/api/whoami-v2", whoami),
    route("POST", "/api/repos/create", create_repo),
    route("DELETE", "/api/repos/delete", delete_repo),
    route("POST", "/api/validate-yaml", validate_yaml),
    route("GET", API, dataset_info),
    route("GET", API + "/revision/{rev}", dataset_info),
    route("PUT", API + "/settings", update_settings),
    route("GET", API + "/auth-check", auth_check),
    route("GET", API + "/auth-check/write", auth_check_write),
    route("GET", API + "/tree/{rev}", tree),
    route("GET", API + "/tree/{rev}/{path}", tree),
    route("POST", API + "/paths-info/{rev}", paths_info),
    route("GET", "/api/models/{path}", unknown_repo_type),
    route("GET", "/api/spaces/{path}", unknown_repo_type),
]
