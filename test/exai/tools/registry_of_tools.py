"""Tools with tunable faults. Arguments that every tool takes: `ms` (how long it works)."""
import asyncio
import json
import os

from src.providers.base import ProviderType
from src.providers.registry_core import get_registry
from src.router.service import RouterService
from src.storage.supabase_client import get_storage_manager, metadata_of


def tool_output(status, content):
    return [{"type": "text", "text": json.dumps({"status": status, "content": content, "content_type": "text"})}]


async def work(arguments, otherwise):
    await asyncio.sleep(float(arguments.get("ms", os.environ.get("EXAI_%s_MS" % otherwise.upper(), "0"))) / 1000)


class Tool:
    """One tool: `execute` is a coroutine function of (arguments, on_chunk)."""

    def __init__(self, name, execute):
        self.name = name
        self._execute = execute

    def get_name(self):
        return self.name

    async def execute(self, arguments, on_chunk=None):
        return await self._execute(arguments, on_chunk)


async def fast(arguments, on_chunk):
    await work(arguments, "fast")
    return tool_output("success", arguments.get("text", "done"))


async def slow(arguments, on_chunk):
    await work({"ms": os.environ.get("EXAI_SLOW_MS", "200"), **arguments}, "slow")
    return tool_output("success", "done slowly")


def open_the_drawer(drawer):
    return {"top": 1}[drawer]


async def raising(arguments, on_chunk):
    await work(arguments, "raising")
    return tool_output("success", str(open_the_drawer(arguments.get("drawer", "bottom"))))


async def empty(arguments, on_chunk):
    await work(arguments, "empty")
    return []


async def failing(arguments, on_chunk):
    """Answers as a success on the wire what the ToolOutput calls an error."""
    await work(arguments, "failing")
    return tool_output("error", "Cannot read the file: it is not there")


async def streaming(arguments, on_chunk):
    for number in range(int(arguments.get("chunks", 3))):
        await work(arguments, "streaming")
        await on_chunk("chunk %d " % number)
    return tool_output("success", "streamed")


async def chat(arguments, on_chunk):
    """Routes to a model, calls it, and keeps both messages. Its name says no provider, so it needs no permit."""
    prompt = str(arguments.get("prompt", "hello"))
    conversation = str(arguments.get("continuation_id", "none"))
    storage = get_storage_manager()
    storage.save_message(conversation, "user", prompt, {"tool_name": "chat"})
    decision = RouterService().choose_model(arguments.get("model"))
    provider = get_registry().get_provider_for_model(decision.chosen)
    answer = provider.generate_content(prompt=prompt, model_name=decision.chosen, on_chunk=on_chunk)
    if asyncio.iscoroutine(answer):
        answer = await answer
    said = {"usage": answer.usage, "metadata": {}}
    storage.save_message(conversation, "assistant", answer.content, metadata_of(said))
    return tool_output("success", answer.content)


async def kimi_chat(arguments, on_chunk):
    """Synchronous provider in a thread, under a KIMI permit."""
    provider = get_registry().get_provider(ProviderType.KIMI)
    prompt = str(arguments.get("prompt", "hello"))
    answer = await asyncio.to_thread(provider.generate_content, prompt=prompt, model_name="kimi-k2")
    await work(arguments, "kimi")
    return tool_output("success", answer.content)


async def glm_chat(arguments, on_chunk):
    """Asynchronous provider, under a GLM permit."""
    provider = get_registry().get_provider(ProviderType.GLM)
    messages = [{"role": "user", "content": str(arguments.get("prompt", "hello"))}]
    answer = await provider.chat_completions_create(model="glm-4.6", messages=messages)
    await work(arguments, "glm")
    return tool_output("success", answer["content"])


def all_tools():
    tools = (fast, slow, raising, empty, failing, streaming, chat, kimi_chat, glm_chat)
    return {execute.__name__: Tool(execute.__name__, execute) for execute in tools}
