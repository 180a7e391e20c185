"""The daemon's port and its health check."""
import asyncio
import json
import os
import signal
import sys
import time

import websockets

from src.daemon.daemon_settings import Settings
from src.daemon.middleware.semaphores import check_semaphore_health
from src.daemon.ws.connection_manager import open_connections, serve_connection
from src.daemon.ws.request_router import RequestRouter
from tools.registry_of_tools import all_tools


class Token:
    def __init__(self, value):
        self.value = value


class RateLimiter:
    """Frames a second over all connections; zero means no limit."""

    def __init__(self, limit):
        self.limit = limit
        self.second = 0
        self.count = 0

    def admits(self):
        now = int(time.time())
        if now != self.second:
            self.second, self.count = now, 0
        self.count += 1
        return self.limit == 0 or self.count <= self.limit


async def _watch_health(settings, global_sem, provider_sems, started_at, tool_count):
    path = os.environ.get("EXAI_HEALTH_FILE", "")
    while True:
        await asyncio.sleep(settings.health_interval)
        await check_semaphore_health(global_sem, settings.global_max, provider_sems, settings.provider_max)
        if path:
            health = {
                "t": time.time(), "pid": os.getpid(), "host": settings.host, "port": settings.port,
                "started_at": started_at, "uptime_human": "%ds" % (time.time() - started_at),
                "sessions": len(open_connections), "global_capacity": settings.global_max,
                "global_inflight": settings.global_max - global_sem._value, "tool_count": tool_count,
            }
            with open(path, "w", encoding="utf-8") as file:
                json.dump(health, file)


async def main_async():
    settings = Settings()
    token = Token(settings.token)
    limiter = RateLimiter(settings.calls_per_second_max)
    global_sem = asyncio.BoundedSemaphore(settings.global_max)
    provider_sems = {name: asyncio.BoundedSemaphore(limit) for name, limit in settings.provider_max.items()}
    tools = all_tools()
    router = RequestRouter(tools, global_sem, provider_sems, settings)
    stop = asyncio.Event()
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    health = asyncio.create_task(_watch_health(settings, global_sem, provider_sems, time.time(), len(tools)))

    async def serve(ws):
        await serve_connection(ws, settings, token, router, limiter)

    server = await websockets.serve(serve, settings.host, settings.port, max_size=settings.bytes_max)
    port = server.sockets[0].getsockname()[1]
    print("exai ready ws://%s:%d" % (settings.host, port), flush=True)
    try:
        await stop.wait()
    finally:
        health.cancel()
        server.close()
