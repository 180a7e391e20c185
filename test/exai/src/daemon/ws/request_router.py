"""Routes one frame. Only `request_id` is read, the shim sends `id`: every answer says "unknown"."""
import asyncio

from src.daemon.error_handling import MCPError, error_frame
from src.daemon.ws.cache_manager import CacheManager
from src.daemon.ws.connection_manager import _safe_send
from src.daemon.ws.router_utils import make_call_key, normalize_tool_name
from src.daemon.ws.tool_executor import ToolExecutor


def call_of(message):
    """Name and arguments, in both spellings of a call; the name is None where there is none."""
    tool = message.get("tool")
    name = tool.get("name") if isinstance(tool, dict) else tool or message.get("name")
    arguments = message.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments or {}, dict):
        return None, {}
    return normalize_tool_name(name), arguments or {}


class RequestRouter:
    def __init__(self, server_tools, global_sem, provider_sems, settings):
        self.server_tools = server_tools
        self.cache_manager = CacheManager(result_ttl_secs=settings.cache_ttl)
        self.tool_executor = ToolExecutor(
            server_tools, global_sem, provider_sems, settings.call_timeout, settings.progress_interval
        )

    async def handle_message(self, ws, session_id, msg, resilient_ws_manager=None):
        op = msg.get("op")
        req_id = msg.get("request_id", "unknown")
        if op in ("call_tool", "tool_call"):
            await self._handle_tool_call(ws, session_id, msg, req_id)
        elif op == "cancel":
            await _safe_send(ws, {"op": "cancelled", "request_id": req_id})
        elif op == "ping":
            await _safe_send(ws, {"op": "pong", "request_id": req_id})
        elif op == "list_tools":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in self.server_tools]
            await _safe_send(ws, {"op": "list_tools_res", "request_id": req_id, "tools": tools})
        else:
            await _safe_send(ws, {"op": "error", **error_frame("INVALID_REQUEST", "Unknown operation: %s" % op)})

    async def _handle_tool_call(self, ws, session_id, msg, req_id):
        name, arguments = call_of(msg)
        if name is None:
            frame = {"op": "call_tool_res", "request_id": req_id}
            await _safe_send(ws, {**frame, **error_frame("INVALID_REQUEST", "Missing tool name")})
            return
        answer = {"op": "call_tool_res", "request_id": req_id}
        try:
            call_key = make_call_key(name, arguments)
            cached = await self.cache_manager.get_cached_result(call_key)
            if cached is not None:
                await _safe_send(ws, {**answer, "outputs": cached, "from_cache": True})
                return
            running = await self.cache_manager.get_inflight(req_id)
            if running is not None:
                # The fault: the id says nothing, so this is another call's answer, and after a tool
                # that raised nobody ever sets it.
                outputs = await asyncio.shield(running)
                await _safe_send(ws, {**answer, "outputs": outputs, "from_inflight": True})
                return
            running = asyncio.get_running_loop().create_future()
            await self.cache_manager.add_inflight(req_id, running)
            success, outputs, error = await self.tool_executor.execute_tool(name, arguments, ws, req_id, None)
            if not success:
                self.cache_manager.inflight_requests.pop(req_id, None)
                await _safe_send(ws, error_frame("TOOL_EXECUTION_ERROR", error))
                return
            running.set_result(outputs)
            self.cache_manager.inflight_requests.pop(req_id, None)
            await self.cache_manager.cache_result(call_key, outputs)
            await _safe_send(ws, {**answer, "outputs": outputs})
        except MCPError as failed:
            if failed.code == "TOOL_NOT_FOUND":
                self.cache_manager.inflight_requests.pop(req_id, None)
            await _safe_send(ws, error_frame(failed.code, failed.message, failed.details))
