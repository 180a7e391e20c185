"""A server of the official SDK: FastMCP, as its first major calls it, MCPServer in the second.

On stdio, or with a port as argument on Streamable HTTP.
"""
import logging
import sys

from mcp import types

try:
    from mcp.server.fastmcp import Context, FastMCP
except ImportError:
    from mcp.server.mcpserver import Context
    from mcp.server.mcpserver import MCPServer as FastMCP

server = FastMCP("high-level")


def divide(amount, parts):
    return amount / parts


@server.tool()
def add(a: int, b: int) -> str:
    return str(a + b)


@server.tool()
async def share(amount: int, parts: int) -> str:
    return str(divide(amount, parts))


@server.tool()
def quiet() -> str:
    return ""


@server.tool()
def grumble() -> str:
    logging.getLogger("grumbler").warning("Cannot find the comb", exc_info=ValueError("no comb"))
    return "found a brush"


@server.tool()
async def ask(ctx: Context) -> str:
    question = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="What is it?"))
    answer = await ctx.session.create_message(messages=[question], max_tokens=10)
    return answer.content.text


@server.resource("memo://today")
def memo() -> str:
    return "buy milk"


@server.prompt()
def greet(name: str) -> str:
    return "Greet %s" % name


if __name__ == "__main__":
    if len(sys.argv) == 1:
        server.run()
    elif hasattr(server.settings, "port"):
        server.settings.port = int(sys.argv[1])
        server.run(transport="streamable-http")
    else:
        server.run(transport="streamable-http", port=int(sys.argv[1]))
