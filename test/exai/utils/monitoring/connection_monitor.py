"""What the daemon itself sees of its connections: a sample. `get_summary` deadlocks, as it does in the real one."""
import threading
import time
from collections import deque


class ConnectionMonitor:
    def __init__(self):
        self._events = deque(maxlen=10000)
        self._active_connections = {}
        self._event_lock = threading.Lock()

    def record_event(
        self, connection_type, direction, script_name, function_name, data_size_bytes,
        response_time_ms=None, error=None, metadata=None,
    ):
        event = {
            "timestamp": time.time(), "connection_type": connection_type, "direction": direction,
            "script": script_name, "function": function_name, "data_size_bytes": data_size_bytes,
            "response_time_ms": response_time_ms, "error": error, "metadata": metadata or {},
        }
        with self._event_lock:
            self._events.append(event)

    def increment_active_connections(self, connection_type):
        with self._event_lock:
            self._active_connections[connection_type] = self._active_connections.get(connection_type, 0) + 1

    def get_stats(self, connection_type):
        with self._event_lock:
            return {"total": sum(1 for event in self._events if event["connection_type"] == connection_type)}

    def get_summary(self):
        with self._event_lock:
            return {"websocket": self.get_stats("websocket")}


_monitor = ConnectionMonitor()


def get_monitor():
    return _monitor


def _record(connection_type, script, direction, function_name, data_size, kwargs):
    _monitor.record_event(connection_type, direction, script, function_name, data_size, **kwargs)


def record_websocket_event(direction, function_name, data_size, **kwargs):
    _record("websocket", "ws_server.py", direction, function_name, data_size, kwargs)


def record_redis_event(direction, function_name, data_size, **kwargs):
    _record("redis", "storage_backend.py", direction, function_name, data_size, kwargs)


def record_supabase_event(direction, function_name, data_size, **kwargs):
    _record("supabase", "supabase_client.py", direction, function_name, data_size, kwargs)


def record_kimi_event(direction, function_name, data_size, **kwargs):
    _record("kimi", "kimi_chat.py", direction, function_name, data_size, kwargs)


def record_glm_event(direction, function_name, data_size, **kwargs):
    _record("glm", "glm_chat.py", direction, function_name, data_size, kwargs)
