"""Answers kept by arguments, and calls in flight kept by request id (which is the fault)."""
import asyncio
import time


class CacheManager:
    def __init__(self, inflight_ttl_secs=300, result_ttl_secs=300):
        self.result_ttl_secs = result_ttl_secs
        self.inflight_requests = {}
        self.cached_results = {}
        self._lock = asyncio.Lock()

    async def get_inflight(self, request_id):
        async with self._lock:
            return self.inflight_requests.get(request_id)

    async def add_inflight(self, request_id, future):
        async with self._lock:
            self.inflight_requests[request_id] = future

    async def get_cached_result(self, call_key):
        async with self._lock:
            result, at = self.cached_results.get(call_key, (None, 0.0))
            return result if result is not None and time.time() - at < self.result_ttl_secs else None

    async def cache_result(self, call_key, result):
        async with self._lock:
            self.cached_results[call_key] = (result, time.time())
