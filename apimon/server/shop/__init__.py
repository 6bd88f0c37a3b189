"""The demo shop: a FastAPI app on SQLite with simulated delays and faults.

Knows nothing of how it is served or monitored.
"""

from apimon.server.shop.app import ShopConfig, create_app

__all__ = ["ShopConfig", "create_app"]
