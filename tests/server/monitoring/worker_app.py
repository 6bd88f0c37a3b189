"""The app that test_workers serves from processes of its own; the settings come from their environment."""

from fastapi import FastAPI

from apimon import LokiMonitoringMiddleware

app = FastAPI()
app.add_middleware(LokiMonitoringMiddleware, service_name="workers")


@app.get("/items/{item_id}")
async def item(item_id: int) -> int:
    return item_id
