"""Settings of the daemon, all from the environment, so that a test can make every fault quick."""
import os


def number(name, otherwise):
    return float(os.environ.get(name, otherwise))


class Settings:
    """Read once at start. Times in seconds unless the name says otherwise."""

    def __init__(self):
        self.host = os.environ.get("EXAI_WS_HOST", "127.0.0.1")
        self.port = int(number("EXAI_WS_PORT", 8079))
        self.token = os.environ.get("EXAI_WS_TOKEN", "")
        self.jwt_required = os.environ.get("EXAI_JWT_REQUIRED", "") == "1"
        self.hello_timeout = number("EXAI_WS_HELLO_TIMEOUT", 15)
        self.bytes_max = int(number("EXAI_WS_MAX_BYTES", 32 * 1024 * 1024))
        self.connections_max = int(number("EXAI_CONNECTIONS_MAX", 1000))
        self.calls_per_second_max = int(number("EXAI_CALLS_PER_SECOND_MAX", 0))
        self.progress_interval = number("EXAI_PROGRESS_INTERVAL", 5)
        self.call_timeout = number("EXAI_CALL_TIMEOUT", 300)
        self.health_interval = number("EXAI_HEALTH_INTERVAL", 30)
        self.cache_ttl = number("EXAI_CACHE_TTL", 300)
        self.global_max = int(number("EXAI_GLOBAL_MAX", 24))
        self.provider_max = {"KIMI": int(number("EXAI_KIMI_MAX", 6)), "GLM": int(number("EXAI_GLM_MAX", 4))}
