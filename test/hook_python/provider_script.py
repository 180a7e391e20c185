"""Providers of the operator's registry in miniature: what they answer by, and what is read of it."""
import asyncio
import sys
import types

import telltale

registry = types.ModuleType("src.providers.registry_core")


class Provider:
    def get_provider_type(self):
        return types.SimpleNamespace(name="KIMI")

    def generate_content(self, prompt, model_name, **kwargs):
        if kwargs.get("stream"):
            return self.words(prompt)
        return self.chat_completions_create(model=model_name, messages=[{"role": "user", "content": prompt}])

    def chat_completions_create(self, *, model, messages, **kwargs):
        return {"model": model + "-2", "content": "four", "usage": {"input_tokens": 3, "output_tokens": 1}}

    def words(self, prompt):
        given = yield "one"
        try:
            yield given
        except KeyError:
            yield "caught"
        return "done"


class AsyncProvider(Provider):
    async def generate_content(self, prompt, model_name, **kwargs):
        return self.later()

    async def later(self):
        yield 1
        yield 2


class ModelProviderRegistry:
    def get_provider(self, provider_type, force_new=False):
        return AsyncProvider() if provider_type == "async" else Provider()


for kind in (Provider, AsyncProvider, ModelProviderRegistry):
    kind.__module__ = registry.__name__
registry.ModelProviderRegistry = ModelProviderRegistry
sys.modules[registry.__name__] = registry


def whole(generator):
    said = [next(generator), generator.send("two"), generator.throw(KeyError())]
    try:
        next(generator)
    except StopIteration as stop:
        return [*said, stop.value]


async def main():
    with telltale.start_trace("tools/call mine", tool="mine"):
        provider = ModelProviderRegistry().get_provider("sync")
        print(provider.generate_content("and?", "kimi")["content"])
        print(whole(provider.generate_content("and?", "kimi", stream=True)))
        stream = await ModelProviderRegistry().get_provider("async").generate_content("and?", "kimi")
        print([item async for item in stream])


telltale.install()
asyncio.run(main())
