"""Runs a tool under its permits, with progress and chunks on the way."""
import asyncio
import time

from src.daemon.error_handling import ToolExecutionError, ToolNotFoundError
from src.daemon.middleware.semaphores import SemaphoreGuard
from src.daemon.ws.connection_manager import _safe_send
from src.daemon.ws.router_utils import normalize_outputs
from utils.infrastructure.semantic_cache_manager import get_semantic_cache_manager

SEMANTIC = ("chat", "analyze", "debug")


class ToolExecutor:
    def __init__(self, server_tools, global_sem, provider_sems, call_timeout, progress_interval):
        self.server_tools = server_tools
        self.global_sem = global_sem
        self.provider_sems = provider_sems
        self.call_timeout = call_timeout
        self.progress_interval = progress_interval
        self.semantic_cache = get_semantic_cache_manager()

    @staticmethod
    def _provider_of(name):
        """Guessed from the tool's name, so `chat` has none, whatever it calls."""
        lower = name.lower()
        return "KIMI" if "kimi" in lower else "GLM" if "glm" in lower else None

    async def execute_tool(self, name, arguments, ws, req_id, resilient_ws_manager=None):
        tool = self.server_tools.get(name)
        if tool is None:
            raise ToolNotFoundError(name)
        semantic = None
        if name in SEMANTIC and "prompt" in arguments:
            semantic = {"prompt": arguments["prompt"], "model": arguments.get("model", "auto")}
            cached = self.semantic_cache.get(**semantic)
            if cached is not None:
                return True, cached, None
        provider = self._provider_of(name)
        metrics = {"provider_name": provider, "provider_sem_wait_ms": 0}
        started = time.perf_counter()
        async with SemaphoreGuard(self.global_sem, "global_sem_%s" % name):
            metrics["global_sem_wait_ms"] = _ms_since(started)
            asked = time.perf_counter()
            if provider is None:
                outcome = await self._timed(tool, name, arguments, ws, req_id, metrics)
            else:
                async with SemaphoreGuard(self.provider_sems[provider], "provider_sem_%s_%s" % (provider, name)):
                    metrics["provider_sem_wait_ms"] = _ms_since(asked)
                    outcome = await self._timed(tool, name, arguments, ws, req_id, metrics)
        metrics["latency_ms"] = _ms_since(started)
        success, outputs, error = outcome
        if success and outputs:
            outputs[0].setdefault("metadata", {})["latency_metrics"] = metrics
            if semantic is not None:
                self.semantic_cache.set(response=outputs, **semantic)
        return success, outputs, error

    async def _timed(self, tool, name, arguments, ws, req_id, metrics):
        began = time.perf_counter()
        try:
            return await self._execute_tool_with_progress(tool, name, arguments, ws, req_id)
        finally:
            metrics["processing_ms"] = _ms_since(began)

    async def _execute_tool_with_progress(self, tool, name, arguments, ws, req_id):
        async def on_chunk(chunk):
            await _safe_send(ws, {"op": "stream_chunk", "request_id": req_id, "chunk": chunk})

        progress = asyncio.create_task(self._send_progress(ws, req_id))
        try:
            result = await asyncio.wait_for(tool.execute(arguments, on_chunk=on_chunk), self.call_timeout)
            await _safe_send(ws, {"op": "stream_complete", "request_id": req_id})
            return True, normalize_outputs(result), None
        except asyncio.TimeoutError:
            return False, None, "Tool execution timed out after %ss" % self.call_timeout
        except Exception as cause:
            raise ToolExecutionError(name, cause)
        finally:
            progress.cancel()

    async def _send_progress(self, ws, req_id):
        while True:
            await asyncio.sleep(self.progress_interval)
            await _safe_send(ws, {"op": "progress", "request_id": req_id, "message": "Tool execution in progress..."})


def _ms_since(started):
    return round((time.perf_counter() - started) * 1000, 2)
