"""JSON-RPC on the daemon's port: initialize with mock tools; what it does not know it echoes."""
import json

MOCK_TOOLS = [{"name": "mock", "description": "Answers its arguments", "inputSchema": {"type": "object"}}]


def answer_of(message):
    method = message.get("method")
    parameters = message.get("params") or {}
    if method == "initialize":
        result = {
            "protocolVersion": parameters.get("protocolVersion", "2024-11-05"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "exai-fixture", "version": "1"},
        }
    elif method == "tools/list":
        result = {"tools": MOCK_TOOLS}
    elif method == "tools/call":
        text = "mock of %s" % parameters.get("name")
        result = {"content": [{"type": "text", "text": text}]}
    else:
        result = message
    return {"jsonrpc": "2.0", "id": message.get("id"), "result": result}


async def serve_json_rpc(ws, first):
    await ws.send(json.dumps(answer_of(first)))
    async for text in ws:
        message = json.loads(text)
        if "id" in message:
            await ws.send(json.dumps(answer_of(message)))
