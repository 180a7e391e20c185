"""A connection from its first frame to its last: the hello, then frames one strictly after another."""
import asyncio
import json
import logging
import secrets

import websockets

from src.daemon.error_handling import error_frame
from src.daemon.ws.protocol_adapter import serve_json_rpc
from utils.monitoring.connection_monitor import get_monitor, record_websocket_event

logger = logging.getLogger(__name__)
open_connections = set()


async def _safe_send(ws, payload, critical=False, resilient_ws_manager=None):
    """Sends a frame; of ten ids one is seen by the monitor, and with "unknown" all or none in a process."""
    text = json.dumps(payload)
    try:
        await ws.send(text)
    except websockets.exceptions.ConnectionClosed:
        return False
    if hash(payload.get("request_id", "")) % 10 == 0:
        record_websocket_event("send", "_safe_send", len(text), metadata={"op": payload.get("op")})
    return True


async def _refuse(ws, error, code):
    record_websocket_event("reject", "serve_connection", 0, metadata={"reason": error})
    await _safe_send(ws, {"op": "hello_ack", "ok": False, "error": error})
    await ws.close(code=code, reason=error)


async def _hello_of(ws, settings, token):
    """The first frame: a hello's session id, or None where the connection was refused or spoke JSON-RPC."""
    try:
        first = await asyncio.wait_for(ws.recv(), settings.hello_timeout)
        hello = json.loads(first)
    except (asyncio.TimeoutError, ValueError):
        await _refuse(ws, "missing_hello", 4002)
        return None
    if isinstance(hello, dict) and hello.get("jsonrpc") == "2.0":
        await serve_json_rpc(ws, hello)
        return None
    if not isinstance(hello, dict) or hello.get("op") != "hello":
        await _refuse(ws, "missing_hello", 4001)
        return None
    if token.value and hello.get("token") != token.value:
        await _refuse(ws, "unauthorized", 4003)
        return None
    if settings.jwt_required and not hello.get("jwt"):
        await _refuse(ws, "jwt_required", 4003)
        return None
    return hello.get("session_id") or secrets.token_urlsafe(24)


async def serve_connection(ws, settings, token, router, rate_limiter):
    if len(open_connections) >= settings.connections_max:
        record_websocket_event("reject", "serve_connection", 0, metadata={"reason": "connection limit"})
        await ws.close(code=1008, reason="connection limit")
        return
    open_connections.add(ws)
    record_websocket_event("connect", "serve_connection", 0, metadata={"remote": str(ws.remote_address)})
    get_monitor().increment_active_connections("websocket")
    try:
        session_id = await _hello_of(ws, settings, token)
        if session_id is None:
            return
        await _safe_send(ws, {"op": "hello_ack", "ok": True, "session_id": session_id})
        async for text in ws:
            await _one_frame(ws, text, session_id, token, router, rate_limiter)
    except websockets.exceptions.ConnectionClosed:
        pass
    finally:
        open_connections.discard(ws)


async def _one_frame(ws, text, session_id, token, router, rate_limiter):
    try:
        message = json.loads(text)
    except ValueError:
        await _safe_send(ws, {"op": "error", **error_frame("PROTOCOL_ERROR", "Invalid JSON")})
        return
    if not isinstance(message, dict) or not isinstance(message.get("op"), str):
        await _safe_send(ws, {"op": "error", **error_frame("INVALID_REQUEST", "Missing op")})
        return
    record_websocket_event("receive", "serve_connection", len(text), metadata={"op": message["op"]})
    if message["op"] == "rotate_token":
        if message.get("old") == token.value:
            token.value = message.get("new") or ""
            await _safe_send(ws, {"op": "rotate_token_ack", "ok": True})
        else:
            await _safe_send(ws, {"op": "rotate_token_ack", "ok": False, "error": "unauthorized"})
        return
    if not rate_limiter.admits():
        record_websocket_event("rate_limit", "serve_connection", len(text), metadata={"op": message["op"]})
        await _safe_send(ws, {"op": "error", **error_frame("OVER_CAPACITY", "Rate limit exceeded")})
        return
    await router.handle_message(ws, session_id, message)
