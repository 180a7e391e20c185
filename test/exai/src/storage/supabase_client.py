"""Keeps messages; its metadata is null where the mixin looks in the wrong place."""
import json
import os
import time
import urllib.request
import uuid

from utils.monitoring.connection_monitor import record_supabase_event

_rows = []


class SupabaseStorageManager:
    def save_message(self, conversation_id, role, content, metadata=None):
        time.sleep(float(os.environ.get("EXAI_STORAGE_MS", "2")) / 1000)
        if content.startswith("unstorable"):
            raise RuntimeError("Cannot save message: the table is read-only")
        row = {"id": str(uuid.uuid4()), "conversation_id": conversation_id, "role": role, "metadata": metadata or {}}
        _rows.append(row)
        if os.environ.get("SUPABASE_URL"):
            self._insert({**row, "content": content})
        path = os.environ.get("EXAI_MESSAGES_FILE")
        if path:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        record_supabase_event("send", "save_message", len(content), response_time_ms=2.0)
        return row["id"]

    def _insert(self, row):
        """As PostgREST takes a row. It says by its status whether it did."""
        address = os.environ["SUPABASE_URL"].rstrip("/") + "/rest/v1/messages"
        headers = {"Content-Type": "application/json", "Prefer": "return=minimal"}
        request = urllib.request.Request(address, json.dumps(row).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()


_manager = SupabaseStorageManager()


def get_storage_manager():
    return _manager


def metadata_of(answer):
    """The fault: `token_usage` and `ai_response_time_ms` are looked for where the answer has `usage` and `metadata`."""
    inner = answer.get("metadata", {})
    return {
        "model_used": inner.get("model_used"),
        "provider_used": inner.get("provider_used"),
        "response_time_ms": inner.get("ai_response_time_ms"),
        "tool_name": inner.get("tool_name"),
        "thinking_mode": inner.get("thinking_mode"),
        "token_usage": inner.get("token_usage"),
    }
