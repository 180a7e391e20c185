"""Errors of the daemon and the frames that carry them: bare, without op or id."""
import logging

logger = logging.getLogger(__name__)


class MCPError(Exception):
    """An error with a code that a frame can carry."""

    code = "INTERNAL_ERROR"

    def __init__(self, message, details=None):
        super().__init__(message)
        self.message = message
        self.details = details or {}


class ToolNotFoundError(MCPError):
    code = "TOOL_NOT_FOUND"

    def __init__(self, tool_name):
        super().__init__("Tool not found: %s" % tool_name)


class ToolExecutionError(MCPError):
    """What the wire says of a tool that raised; the cause is only in `original_error`."""

    code = "TOOL_EXECUTION_ERROR"

    def __init__(self, tool_name, original_error):
        super().__init__("Tool execution failed: %s" % tool_name, {"original_error": str(original_error)})
        self.tool_name = tool_name
        self.original_error = original_error


class ProviderError(MCPError):
    code = "PROVIDER_ERROR"

    def __init__(self, provider, original_error):
        super().__init__("Provider error (%s): %s" % (provider, original_error), {"provider": provider})
        self.original_error = original_error


def error_frame(code, message, details=None):
    """A failed call's answer: no op and no id tell whose it is."""
    error = {"code": code, "message": message}
    if details:
        error["details"] = details
    return {"error": error}
