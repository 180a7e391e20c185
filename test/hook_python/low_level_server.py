"""A low-level server of the official SDK, of its first or second major. On stdio."""
import asyncio
import importlib.metadata

import mcp.server.stdio
from mcp import types
from mcp.server.lowlevel import Server

first_major = importlib.metadata.version("mcp").startswith("1.")
tools = [types.Tool(name=name, inputSchema={"type": "object"}) for name in ("echo", "fall")] if first_major else []


def answer_of(name, arguments):
    if name == "fall":
        raise LookupError("no floor")
    return [types.TextContent(type="text", text=str(arguments.get("text", "")))]


def server_of_first_major():
    server = Server("low-level")

    @server.list_tools()
    async def list_tools():
        return tools

    @server.call_tool()
    async def call_tool(name, arguments):
        return answer_of(name, arguments)

    return server


def server_of_second_major():
    async def call_tool(ctx, params):
        return types.CallToolResult(content=answer_of(params.name, params.arguments or {}))

    return Server("low-level", on_call_tool=call_tool)


async def main():
    server = server_of_first_major() if first_major else server_of_second_major()
    async with mcp.server.stdio.stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())
