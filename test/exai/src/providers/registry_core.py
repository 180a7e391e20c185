"""Which provider there is, and which of them knows a model."""
import os

from src.providers.async_glm import AsyncGLMProvider
from src.providers.base import ProviderType
from src.providers.kimi import KimiModelProvider


class ModelProviderRegistry:
    def __init__(self):
        self._providers = {ProviderType.KIMI: KimiModelProvider, ProviderType.GLM: AsyncGLMProvider}
        self._initialized = {}

    def get_provider(self, provider_type, force_new=False):
        if force_new or provider_type not in self._initialized:
            base_url = os.environ.get("%s_API_URL" % provider_type.name)
            key = os.environ.get("%s_API_KEY" % provider_type.name, "none")
            self._initialized[provider_type] = self._providers[provider_type](key, base_url=base_url)
        return self._initialized[provider_type]

    def get_provider_for_model(self, model_name):
        for provider_type in self._providers:
            provider = self.get_provider(provider_type)
            if provider.validate_model_name(model_name):
                return provider
        return None


_registry = ModelProviderRegistry()


def get_registry():
    return _registry
