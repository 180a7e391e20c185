"""Chooses the model, and by it the provider."""
from dataclasses import dataclass
from typing import Any, Dict, Optional

from src.providers.registry_core import get_registry


@dataclass
class RouteDecision:
    requested: str
    chosen: str
    reason: str
    provider: Optional[str] = None
    meta: Optional[Dict[str, Any]] = None


class RouterService:
    def choose_model(self, requested):
        wanted = requested or "auto"
        chosen = "glm-4.5-flash" if wanted == "auto" else wanted
        provider = get_registry().get_provider_for_model(chosen)
        if provider is None:
            raise ValueError("Cannot choose a model: %s is of no provider" % chosen)
        reason = "auto_preferred" if wanted == "auto" else "explicit"
        return RouteDecision(wanted, chosen, reason, provider.get_provider_type().name)

    def choose_model_with_hint(self, requested, hint=None):
        return self.choose_model(requested)
