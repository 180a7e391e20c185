"""What providers share: their kinds, an answer, and one HTTP call to an AI API (or a sleep where none is set)."""
import http.client
import json
import os
import time
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit


class ProviderType(Enum):
    KIMI = "kimi"
    GLM = "glm"


@dataclass
class ModelResponse:
    content: str
    usage: dict
    model_name: str
    friendly_name: str
    provider: ProviderType
    metadata: dict = field(default_factory=dict)


class ModelProvider:
    MODELS = ()

    def __init__(self, api_key, base_url=None):
        self.api_key = api_key
        self.base_url = base_url

    def validate_model_name(self, model_name):
        return model_name in self.MODELS

    def call_api(self, model_name, prompt):
        """One blocking call; answers (content, usage). A prompt that begins `fail` is refused by the API."""
        if prompt.startswith("fail"):
            raise ConnectionError("Cannot reach the AI API: %s answered 503" % model_name)
        if self.base_url:
            return self._post(model_name, prompt)
        time.sleep(float(os.environ.get("EXAI_API_MS", "20")) / 1000)
        usage = {"prompt_tokens": len(prompt), "completion_tokens": 7, "total_tokens": len(prompt) + 7}
        return "answer of %s" % model_name, usage

    def _post(self, model_name, prompt):
        url = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        body = json.dumps({"model": model_name, "messages": [{"role": "user", "content": prompt}]})
        try:
            connection.request("POST", url.path or "/", body, {"Authorization": "Bearer " + self.api_key})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer["choices"][0]["message"]["content"], answer["usage"]
