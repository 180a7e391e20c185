"""GLM: asynchronous, and it can stream."""
import asyncio

from src.providers.base import ModelProvider, ModelResponse, ProviderType


class AsyncGLMProvider(ModelProvider):
    MODELS = ("glm-4.5-flash", "glm-4.6")

    def get_provider_type(self):
        return ProviderType.GLM

    async def generate_content(self, prompt, model_name, system_prompt=None, temperature=0.3, **kwargs):
        content, usage = await asyncio.to_thread(self.call_api, model_name, prompt)
        on_chunk = kwargs.get("on_chunk")
        if on_chunk is not None:
            for word in content.split(" "):
                await on_chunk(word + " ")
        return ModelResponse(content, usage, model_name, "GLM", ProviderType.GLM)

    async def chat_completions_create(self, *, model, messages, **kwargs):
        content, usage = await asyncio.to_thread(self.call_api, model, messages[-1]["content"])
        return {"provider": "GLM", "model": model, "content": content, "usage": usage}
