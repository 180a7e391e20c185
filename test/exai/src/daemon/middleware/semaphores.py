"""Permits: the guard that takes and gives one, and the health check that gives back permits which are held."""
import logging

logger = logging.getLogger(__name__)


class SemaphoreGuard:
    """Holds one permit of an asyncio.BoundedSemaphore for the length of a block."""

    def __init__(self, semaphore, name="unknown"):
        self.semaphore = semaphore
        self.name = name
        self.acquired = False

    async def __aenter__(self):
        await self.semaphore.acquire()
        self.acquired = True
        return self

    async def __aexit__(self, exc_type, exc, tb):
        if not self.acquired:
            return False
        self.acquired = False
        try:
            self.semaphore.release()
        except ValueError:
            logger.warning("Semaphore %s already released (likely by recovery)", self.name)
        return False


async def check_semaphore_health(global_sem, global_max, provider_sems, provider_limits):
    """The fault: takes a permit in use for a leaked one and releases it, so that more run than the limit."""
    released = 0
    for name, semaphore, limit in [("global", global_sem, global_max)] + [
        (name, semaphore, provider_limits[name]) for name, semaphore in provider_sems.items()
    ]:
        while semaphore._value < limit:
            semaphore.release()
            released += 1
            logger.warning("Semaphore leak of %s recovered", name)
    return released
