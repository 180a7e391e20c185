"""The shim of the tests: MCP on stdio, the daemon's protocol on a WebSocket, with the real one's faults.

It reads exactly one frame a call and looks for `result` in it (the daemon sends `outputs`), so its content is
empty and from the second call on it reads frames of the call before. Failures become text without isError.
"""
import asyncio
import json
import os
import sys
import threading

import websockets

HOST = os.environ.get("EXAI_WS_HOST", "127.0.0.1")
PORT = int(os.environ.get("EXAI_WS_PORT", "3010"))
CALL_TIMEOUT = float(os.environ.get("EXAI_SHIM_TIMEOUT", "60"))


class Shim:
    def __init__(self):
        self.ws = None

    async def connect(self):
        if self.ws is not None:
            return self.ws
        ws = await websockets.connect("ws://%s:%d" % (HOST, PORT), max_size=32 * 1024 * 1024)
        hello = {
            "op": "hello", "token": os.environ.get("EXAI_WS_TOKEN", ""), "protocolVersion": "1",
            "capabilities": {}, "clientInfo": {"name": "shim", "version": "1"},
        }
        if os.environ.get("EXAI_SESSION_ID"):
            hello["session_id"] = os.environ["EXAI_SESSION_ID"]
        if os.environ.get("EXAI_JWT_TOKEN"):
            hello["jwt"] = os.environ["EXAI_JWT_TOKEN"]
        await ws.send(json.dumps(hello))
        ack = json.loads(await asyncio.wait_for(ws.recv(), CALL_TIMEOUT))
        if not ack.get("ok"):
            raise RuntimeError("Auth failed: %s" % ack.get("error"))
        self.ws = ws
        return ws

    async def one_frame(self, frame):
        ws = await self.connect()
        await ws.send(json.dumps(frame))
        return json.loads(await asyncio.wait_for(ws.recv(), CALL_TIMEOUT))

    async def call_tool(self, name, arguments):
        try:
            ws = await self.connect()
            frame = {"op": "call_tool", "id": "call_%d" % id(ws), "name": name, "arguments": arguments}
            answer = await self.one_frame(frame)
            if "error" in answer:
                raise RuntimeError(json.dumps(answer["error"]))
            return [{"type": "text", "text": str(part)} for part in answer.get("result", [])]
        except Exception as failed:
            return [{"type": "text", "text": "Error executing tool %s: %s" % (name, failed)}]

    async def result_of(self, method, parameters):
        if method == "initialize":
            return {
                "protocolVersion": parameters.get("protocolVersion", "2024-11-05"),
                "capabilities": {"tools": {}}, "serverInfo": {"name": "ex-ws-shim", "version": "1"},
            }
        if method == "tools/list":
            answer = await self.one_frame({"op": "list_tools", "id": "list"})
            return {"tools": answer.get("tools", [])}
        if method == "tools/call":
            content = await self.call_tool(parameters.get("name"), parameters.get("arguments") or {})
            return {"content": content}
        return {}


async def main():
    loop = asyncio.get_running_loop()
    lines = asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    shim = Shim()
    while True:
        line = await lines.get()
        if line is None:
            break
        message = json.loads(line)
        if "id" not in message:
            continue
        result = await shim.result_of(message.get("method"), message.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
    if shim.ws is not None:
        await shim.ws.close()


if __name__ == "__main__":
    asyncio.run(main())
