"""Names, keys and shapes on the daemon's wire."""
import hashlib
import json

SUFFIXES = ("_EXAI-WS", "-EXAI-WS", "_EXAI_WS", "-EXAI_WS")


def normalize_tool_name(name):
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return name


def make_call_key(name, arguments):
    """SHA-256 of name and arguments: anything put inside the arguments changes it."""
    return hashlib.sha256((name + ":" + json.dumps(arguments, sort_keys=True)).encode()).hexdigest()


def normalize_outputs(outputs):
    normal = []
    for output in outputs or []:
        text = output.get("text") if isinstance(output, dict) else str(output)
        normal.append({"type": "text", "text": text or ""})
    return normal
