"""Routes that change files: what to upload and how, the commit, and the large files themselves."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import secrets
import time
from typing import Any

from .accounts import require_contribution, require_role
from .model import HubError
from .repo_routes import API, card_errors, find
from .repository import Draft, Operation
from .routing import Call, Reply, Route, json_reply, route, stream_route
from .state import Ticket

# Larger files are never regular ones.
REGULAR_LIMIT = 10 * 1024 * 1024
# fmt: off
LFS_SUFFIXES = (
    ".7z", ".arrow", ".avi", ".bin", ".bz2", ".feather", ".flac", ".gif", ".gz", ".h5", ".jpeg", ".jpg",
    ".mp3", ".mp4", ".msgpack", ".npy", ".npz", ".onnx", ".parquet", ".pickle", ".pkl", ".png", ".pt", ".pth",
    ".safetensors", ".tar", ".tgz", ".tiff", ".wav", ".webp", ".xz", ".zip", ".zst",
)
# fmt: on
TOKEN_LIFETIME_S = 7 * 24 * 3600


def upload_mode(path: str, size: int, sample: bytes) -> str:
    """Large files and binary ones go to the large storage, the others into git."""
    if size > REGULAR_LIMIT or path.lower().endswith(LFS_SUFFIXES) or b"\0" in sample:
        return "lfs"
    return "regular"


def preupload(call: Call) -> Reply:
    """How to send each file, and what lies there now, by which the client leaves out what has not changed."""
    repository = find(call)
    revision = call.params["rev"]
    require_contribution(call.user, repository, revision, call.flag("create_pr"))
    present = repository.resolve(revision).tree
    files = []
    for item in call.json().get("files", []):
        sample = base64.b64decode(item.get("sample", ""))
        entry = present.get(item["path"])
        described = {
            "path": item["path"],
            "uploadMode": upload_mode(item["path"], item["size"], sample),
            "shouldIgnore": False,
        }
        if entry is not None:
            described["oid"] = entry.oid
        files.append(described)
    return json_reply({"files": files})


def _operation(kind: str, value: dict[str, Any]) -> Operation:
    path = str(value["path"])
    if kind == "file":
        if value.get("encoding") == "base64":
            return Operation(kind, path, content=base64.b64decode(value["content"], validate=True))
        return Operation(kind, path, content=str(value["content"]).encode())
    if kind == "lfsFile":
        return Operation(kind, path, oid=str(value["oid"]), size=value.get("size"))
    return Operation(kind, path)


def parse_commit(body: bytes) -> Draft:
    """A commit as the client writes it: a header line, then a line per operation."""
    draft = Draft(title="")
    try:
        for line in body.splitlines():
            item = json.loads(line)
            if item["key"] == "header":
                draft.title = item["value"]["summary"]
                draft.message = item["value"].get("description", "")
                draft.parent = item["value"].get("parentCommit")
            else:
                draft.operations.append(_operation(item["key"], item["value"]))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise HubError(400, f"Invalid commit payload: {error!r}") from error
    if not draft.title:
        raise HubError(400, "A commit needs a summary")
    return draft


def commit(call: Call) -> Reply:
    """`HfApi.create_commit`, the last step of every upload."""
    repository = find(call)
    revision = call.params["rev"]
    create_pr = call.flag("create_pr")
    draft = parse_commit(call.body)
    call.log.title, call.log.operations = draft.title, list(draft.summary)
    user = require_contribution(call.user, repository, revision, create_pr)
    for operation in draft.operations:
        if operation.path == "README.md" and operation.content is not None:
            errors = card_errors(operation.content.decode(errors="replace"))
            if errors:
                raise HubError(400, "Invalid metadata in README.md: " + "; ".join(errors))
    if call.state.limits is not None:
        call.state.limits.check_commit(repository.id, len(draft.operations))
    answer: dict[str, Any] = {"success": True, "hookOutput": ""}
    if create_pr:
        made, pull = repository.commit_as_pull_request(revision, draft, user.name)
        answer["pullRequestUrl"] = f"{call.state.url}/datasets/{repository.id}/discussions/{pull.num}"
    else:
        made = repository.commit(revision, draft, user.name, call.state.limits)
    answer["commitOid"] = made.sha
    answer["commitUrl"] = f"{call.state.url}/datasets/{repository.id}/commit/{made.sha}"
    return json_reply(answer)


def lfs_batch(call: Call) -> Reply:
    """Where to PUT each object; no action for what is stored already."""
    repository = find(call)
    body = call.json()
    if body.get("operation") != "upload":
        raise HubError(400, "The local Hub answers LFS uploads only")
    revision = body.get("ref", {}).get("name", "main")
    # As with Xet, the client names no branch when it is about to open a pull request.
    require_contribution(call.user, repository, revision, create_pr="ref" not in body)
    objects = []
    for item in body.get("objects", []):
        answer: dict[str, Any] = {"oid": item["oid"], "size": item["size"], "authenticated": True}
        if repository.objects.lfs_size(item["oid"]) is None:
            key = secrets.token_urlsafe(16)
            call.state.tickets[key] = Ticket(repository, item["oid"], item["size"])
            answer["actions"] = {
                "upload": {"href": f"{call.state.url}/lfs/{item['oid']}?ticket={key}"},
                "verify": {"href": f"{call.state.url}/datasets/{repository.id}.git/info/lfs/verify"},
            }
        objects.append(answer)
    return json_reply({"transfer": "basic", "objects": objects})


async def lfs_put(call: Call) -> Reply:
    """One object, straight to disk; the address is the permission."""
    ticket = call.state.tickets.get(call.query.get("ticket", ""))
    if ticket is None or ticket.sha256 != call.params["oid"]:
        raise HubError(403, "This upload address was not given out by the LFS batch route")

    async def pieces() -> Any:
        async for piece in call.http.stream():
            call.log.bytes_in += len(piece)
            if call.state.upload_bytes_per_s:
                # One line for all connections: each piece waits for those before it.
                now = time.monotonic()
                call.state.upload_free_s = (
                    max(call.state.upload_free_s, now) + len(piece) / call.state.upload_bytes_per_s
                )
                await asyncio.sleep(call.state.upload_free_s - now)
            yield piece

    await ticket.repository.objects.receive_lfs(ticket.sha256, ticket.size, pieces())
    return Reply(200)


def lfs_verify(call: Call) -> Reply:
    """Whether the object has arrived, asked by the client after its PUT."""
    require_role(call.user)
    repository = find(call)
    body = call.json()
    if repository.objects.lfs_size(body["oid"]) != body["size"]:
        raise HubError(404, f"LFS object {body['oid']} was not uploaded")
    return json_reply({})


def xet_write_token(call: Call) -> Reply:
    """A token whose store is a folder on this machine."""
    repository = find(call)
    revision = call.params["rev"]
    # Opening a pull request, the client has no revision and sends `None` for it.
    create_pr = call.flag("create_pr")
    require_contribution(call.user, repository, revision, create_pr)
    if not create_pr:
        repository.resolve(revision)
    if not call.state.xet:
        raise HubError(404, "This local Hub was started without Xet")
    url = f"local://{repository.objects.xet.open_lane().absolute()}"
    token, expiration = secrets.token_urlsafe(16), int(time.time()) + TOKEN_LIFETIME_S
    return json_reply(
        {"casUrl": url, "accessToken": token, "exp": expiration},
        headers={
            "X-Xet-Cas-Url": url,
            "X-Xet-Access-Token": token,
            "X-Xet-Token-Expiration": str(expiration),
        },
    )


def xet_read_token(call: Call) -> Reply:
    """Refused: no answer of this Hub names a Xet hash, so that every download is seen by the log."""
    find(call)
    raise HubError(404, "The local Hub serves downloads over plain HTTP, not from its Xet store")


ROUTES: list[Route] = [
    route("POST", API + "/preupload/{rev}", preupload),
    route("POST", API + "/commit/{rev}", commit),
    route("GET", API + "/xet-write-token/{rev}", xet_write_token),
    route("GET", API + "/xet-read-token/{rev}", xet_read_token),
    route("POST", "/datasets/{ns}/{name}.git/info/lfs/objects/batch", lfs_batch),
    route("POST", "/datasets/{ns}/{name}.git/info/lfs/verify", lfs_verify),
    stream_route("PUT", "/lfs/{oid}", lfs_put),
]
