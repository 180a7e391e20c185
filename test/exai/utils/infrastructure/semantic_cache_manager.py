"""Answers of models kept by prompt and model."""
import hashlib
import json


class SemanticCacheManager:
    def __init__(self):
        self._entries = {}

    @staticmethod
    def _key(prompt, model, kwargs):
        return hashlib.sha256(json.dumps([prompt, model, kwargs], sort_keys=True).encode()).hexdigest()

    def get(self, prompt, model, temperature=None, thinking_mode=None, **kwargs):
        return self._entries.get(self._key(prompt, model, kwargs))

    def set(self, prompt, model, response, **kwargs):
        self._entries[self._key(prompt, model, kwargs)] = response


_manager = SemanticCacheManager()


def get_semantic_cache_manager():
    return _manager
