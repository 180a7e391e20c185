"""Starts the daemon of the tests, as the real one is started. Prints `exai ready <url>`."""
import asyncio
import logging
import sys
from pathlib import Path

root = Path(__file__).resolve().parents[2]
if str(root) not in sys.path:
    sys.path.insert(0, str(root))

from src.daemon.ws_server import main_async  # noqa: E402


def main():
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main_async())


if __name__ == "__main__":
    main()
