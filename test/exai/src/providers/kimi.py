"""Kimi: called synchronously, in a thread of the tool's."""
from src.daemon.error_handling import ProviderError
from src.providers.base import ModelProvider, ModelResponse, ProviderType
from utils.monitoring.connection_monitor import record_kimi_event


class KimiModelProvider(ModelProvider):
    MODELS = ("kimi-k2", "moonshot-v1")

    def get_provider_type(self):
        return ProviderType.KIMI

    def generate_content(self, prompt, model_name, system_prompt=None, temperature=0.3, **kwargs):
        try:
            content, usage = self.call_api(model_name, prompt)
        except Exception as cause:
            record_kimi_event("error", "kimi.generate_content", len(prompt), error=str(cause))
            raise ProviderError("Kimi", cause) from cause
        record_kimi_event("receive", "kimi.generate_content", len(content), metadata={"model": model_name})
        return ModelResponse(content, usage, model_name, "Kimi", ProviderType.KIMI)

    def chat_completions_create(self, *, model, messages, **kwargs):
        content, usage = self.call_api(model, messages[-1]["content"])
        return {"provider": "KIMI", "model": model, "content": content, "usage": usage}
