"""The HTTP side: from a socket to a handler and back, with the log, the hooks and the faults in between."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import commit_routes, file_routes, ref_routes, repo_routes
from .faults import Fault, FaultPlan
from .model import HubError, Request
from .routing import Call, Reply, find_route, json_reply
from .state import State

ROUTES = [*repo_routes.ROUTES, *commit_routes.ROUTES, *ref_routes.ROUTES, *file_routes.ROUTES]
PIECE = 1024 * 1024
HOOK_PAUSE_S = 0.02  # for the loop to hear that a client is gone
KEEP_ALIVE_S = 600  # long, so that only a fault ever closes a connection under a client

# Asked by every first client of a fresh home, whatever it is about to do: neither logged nor broken.
AGENT_REGISTRY = "/api/agent-harnesses"

Hook = Callable[[Request], None]


class App:
    """The ASGI application."""

    def __init__(self, state: State, plan: FaultPlan) -> None:
        self.state = state
        self.plan = plan
        self.log: list[Request] = []
        self.before: Hook | None = None
        self.after: Hook | None = None
        self.errors: list[str] = []
        self.connections: dict[tuple[str, int], asyncio.Transport] = {}
        self._serial = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        http = HttpRequest(scope, receive)
        request = Request(
            started=next(self._serial),
            method=http.method,
            path=unquote(scope["raw_path"].decode()),
            query=dict(http.query_params),
            range=http.headers.get("range"),
        )
        if request.path == AGENT_REGISTRY:
            registry = json_reply({"standardEnvVars": [], "harnesses": {}})
            await self._send(send, http, request, registry)
            return
        self.log.append(request)
        fault = self.plan.strike(request)
        try:
            await self._call_hook(self.before, request)
            if self.before is not None and not await self._connected(scope):
                return
            reply = await self._answer(http, request, fault)
            if reply is not None:
                await self._call_hook(self.after, request)
        except ClientDisconnect:
            return
        if reply is None or (fault is not None and fault.kind == "lost_answer"):
            await self._drop(scope, receive)
        else:
            await self._send(send, http, request, reply, cut=fault is not None and fault.kind == "cut")
            if fault is not None and fault.kind == "cut":
                await self._drop(scope, receive)

    async def _connected(self, scope: Scope) -> bool:
        """Whether the client is still there; one that a hook has killed must not be served any more."""
        await asyncio.sleep(HOOK_PAUSE_S)
        return tuple(scope["client"]) in self.connections

    async def _call_hook(self, hook: Hook | None, request: Request) -> None:
        if hook is None:
            return
        try:
            await run_in_threadpool(hook, request)
        except Exception:  # noqa: BLE001  a broken hook is the test's to see, in `errors`
            self.errors.append(traceback.format_exc())

    async def _answer(self, http: HttpRequest, request: Request, fault: Fault | None) -> Reply | None:
        """The answer, None when the request is to be dropped unread."""
        if fault is not None:
            await asyncio.sleep(fault.delay_s)
            if fault.kind == "drop":
                return None
            if fault.kind == "status":
                await self._body(http, request)
                headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                if fault.rate_limit is not None:
                    headers["RateLimit"] = f'"api";r=0;t={fault.rate_limit}'
                if fault.body is not None:
                    return Reply(fault.status, fault.body, {"Content-Type": "text/html", **headers, **fault.headers})
                return json_reply({"error": "A fault that the test ordered"}, fault.status, headers)
        try:
            reply = await self._perform(http, request)
        except HubError as error:
            reply = json_reply({"error": error.message}, error.status, error.headers)
        except ClientDisconnect:
            raise
        except Exception:  # noqa: BLE001  whatever it is, the client gets an answer and the test a traceback
            self.errors.append(traceback.format_exc())
            reply = json_reply({"error": "The local Hub failed:\n" + self.errors[-1]}, 500)
        request.performed = reply.status
        return reply

    async def _perform(self, http: HttpRequest, request: Request) -> Reply:
        found, params = find_route(ROUTES, request.method, http.scope["raw_path"].decode())
        call = Call(self.state, request, http, params)
        if found.stream is not None:
            return await found.stream(call)
        call.body = await self._body(http, request)
        call.user = self.state.accounts.authenticate(http.headers.get("authorization"))
        request.user = call.user.name if call.user else None
        if self.state.limits is not None:
            self.state.limits.check_request(request, request.user)
        handler = found.handler
        assert handler is not None
        if not found.locked:
            return await run_in_threadpool(handler, call)

        def under_lock() -> Reply:
            with self.state.lock:
                return handler(call)

        return await run_in_threadpool(under_lock)

    async def _body(self, http: HttpRequest, request: Request) -> bytes:
        pieces = []
        async for piece in http.stream():
            request.bytes_in += len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    async def _send(self, send: Send, http: HttpRequest, request: Request, reply: Reply, cut: bool = False) -> None:
        length = reply.length if not reply.content else len(reply.content)
        headers = {**reply.headers, "Content-Length": str(length)}
        request.status = reply.status
        start = {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()],
        }
        await send(start)
        if request.method != "HEAD":
            if reply.file is not None:
                await self._send_file(send, http, request, reply, reply.file, cut)
            else:
                content = reply.content[: len(reply.content) // 2] if cut else reply.content
                request.bytes_out += len(content)
                await send({"type": "http.response.body", "body": content, "more_body": True})
        if cut:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_file(
        self, send: Send, http: HttpRequest, request: Request, reply: Reply, path: Path, cut: bool
    ) -> None:
        left = reply.length // 2 if cut else reply.length
        with path.open("rb") as file:
            file.seek(reply.start)
            while left and tuple(http.scope["client"]) in self.connections:
                piece = await run_in_threadpool(file.read, min(PIECE, left))
                left -= len(piece)
                request.bytes_out += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _drop(self, scope: Scope, receive: Receive) -> None:
        transport = self.connections.get(tuple(scope["client"]))
        if transport is not None:
            transport.abort()
        # Until uvicorn knows of it too: it would rightly complain about a request without an answer.
        while (await receive())["type"] != "http.disconnect":
            pass


HOST = "127.0.0.1"
_fixed_port = 0  # of this process: the first that was free, for one server after the other


def has_fixed_port(url: str) -> bool:
    """Whether an address will be that of the next server of this process, too."""
    return bool(_fixed_port) and url == f"http://{HOST}:{_fixed_port}"


def _bound_socket() -> socket.socket:
    """A socket on the port of this process, or on another one while that is in use."""
    global _fixed_port
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last server's connections may not be gone yet
    try:
        made.bind((HOST, _fixed_port))
    except OSError:
        made.bind((HOST, 0))
    _fixed_port = _fixed_port or made.getsockname()[1]
    return made


class Server:
    """uvicorn in a thread of its own, on a port that was free."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._socket = _bound_socket()
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        connections = app.connections

        class Protocol(H11Protocol):
            """Remembers its connection, which an application cannot otherwise close."""

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                self.peer = tuple(transport.get_extra_info("peername")[:2])
                connections[self.peer] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                connections.pop(self.peer, None)
                super().connection_lost(exc)

        config = uvicorn.Config(
            cast(Any, app),
            http=Protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="local-hub", daemon=True
        )

    def start(self) -> None:
        """Serve until `stop`. The socket listens before this returns, so that no client comes too early."""
        self._socket.listen(128)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection, also those that a living client keeps open."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
