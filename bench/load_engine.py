"""Requests per CPU-second of the client: our engine and scripted user beside aiohttp's client and locust's fast user.

    python -m bench.load_engine

One tiny server, 50 connections, no think time. Each client runs in a process of its own and is charged for its own CPU
time, imports apart. Rounds are interleaved; figures are medians of five. Locust takes part where it is installed.
"""

import asyncio
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from typing import cast

from bench.timing import Figure, medians, ratio_line

Run = Callable[[], int]
"""Loads the server for SECONDS and returns the number of requests; what is imported for it is imported already."""

CONNECTIONS = 50
SECONDS = 0.7
ROUNDS = 5
WORK = {
    "get": f"one GET on {CONNECTIONS} connections",
    "script": f"scripted user with a JSON post and a check on {CONNECTIONS} connections",
}
BODY = b'{"message": "GET /products", "count": 4}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


def prepare_apimon(url: str, *, scripted: bool) -> Run:
    """Return a run of our engine."""
    from apimon.loadtest.engine import run_load
    from apimon.loadtest.plan import LoadPlan
    from apimon.loadtest.scenario import Scenario, Task
    from apimon.loadtest.target import parse_target
    from apimon.loadtest.user import VirtualUser

    async def get(user: VirtualUser) -> None:
        await user.get("/products")

    async def buy(user: VirtualUser) -> None:
        product = user.random.randint(1, 4)
        answer = await user.post(f"/products/{product}", json={"quantity": 1}, name="/products/{id}")
        answer.check("has a message", answer.json()["message"])

    scenario = Scenario("bench", [Task("task", buy if scripted else get)])
    plan = LoadPlan(parse_target(url), scenario, users=CONNECTIONS, duration_s=SECONDS, seed=1)

    def run() -> int:
        report = run_load(plan)
        if report.total.ok != report.requests:
            raise AssertionError(f"not all requests were ok: {report.total.outcomes}")
        return report.requests

    return run


def prepare_aiohttp(url: str, *, scripted: bool) -> Run:
    """Return a run of aiohttp's client on uvloop."""
    import random

    import aiohttp
    import uvloop

    async def user(session: aiohttp.ClientSession, end: float) -> int:
        requests = 0
        while time.perf_counter() < end:
            if scripted:
                path = f"{url}/products/{random.randint(1, 4)}"
                async with session.post(path, json={"quantity": 1}) as answer:
                    if not (await answer.json())["message"]:
                        raise AssertionError("no message")
            else:
                async with session.get(f"{url}/products") as answer:
                    await answer.read()
            requests += 1
        return requests

    async def main() -> int:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector) as session:
            end = time.perf_counter() + SECONDS
            return sum(await asyncio.gather(*(user(session, end) for _ in range(CONNECTIONS))))

    return lambda: uvloop.run(main())


def prepare_locust(url: str, *, scripted: bool) -> Run:
    """Return a run of locust's fast user in this process."""
    import gevent  # type: ignore[import-untyped, unused-ignore] # it has no types
    import gevent.monkey  # type: ignore[import-untyped, unused-ignore] # as above

    gevent.monkey.patch_all()
    import random

    from locust import FastHttpUser, constant, task
    from locust.env import Environment

    class User(FastHttpUser):  # type: ignore[misc, unused-ignore] # only where locust isn't installed
        host = url
        wait_time = constant(0)

        @task  # type: ignore[untyped-decorator, unused-ignore] # as above
        def act(self) -> None:
            if not scripted:
                self.client.get("/products")
                return
            path = f"/products/{random.randint(1, 4)}"
            with self.client.post(path, json={"quantity": 1}, name="/products/{id}", catch_response=True) as answer:
                if not answer.json()["message"]:
                    answer.failure("no message")

    runner = Environment(user_classes=[User]).create_local_runner()

    def run() -> int:
        runner.start(CONNECTIONS, spawn_rate=100)
        gevent.sleep(SECONDS)
        runner.quit()
        return int(runner.stats.total.num_requests)

    return run


CLIENTS = {"apimon": prepare_apimon, "aiohttp": prepare_aiohttp, "locust": prepare_locust}


async def serve() -> None:
    """Answer every request on a free port with the same bytes, as cheaply as Python can."""
    from httptools import HttpRequestParser

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.write = cast("asyncio.Transport", transport).write
            self.feed = HttpRequestParser(self).feed_data

        def data_received(self, data: bytes) -> None:
            self.feed(data)

        def on_message_complete(self) -> None:
            self.write(ANSWER)

    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def measure_client(name: str, work: str, url: str) -> None:
    """Run one client in this process and print its requests per CPU-second."""
    run = CLIENTS[name](url, scripted=work == "script")
    started = time.process_time()
    requests = run()
    print(requests / (time.process_time() - started))


def figure_of(name: str, work: str, url: str) -> Figure:
    """Return the figure of one client doing one kind of work, in a process of its own."""
    command = [sys.executable, "-m", "bench.load_engine", name, work, url]
    return lambda: float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def compare(url: str) -> None:
    """Let the clients take turns and print a ratio line for each peer and kind of work."""
    names = [name for name in CLIENTS if importlib.util.find_spec(name)]
    contenders = {f"{work} {name}": figure_of(name, work, url) for work in WORK for name in names}
    figures = medians(contenders, ROUNDS)
    for work, words in WORK.items():
        for name in names[1:]:
            ours, peer = figures[f"{work} apimon"], figures[f"{work} {name}"]
            print(ratio_line(words, ours, peer, peer_name=name, unit="requests per client CPU-second"))


def main() -> None:
    """Start the server and compare; with arguments, be the server or one client."""
    match sys.argv[1:]:
        case ["serve"]:
            import uvloop

            uvloop.run(serve())
        case [name, work, url]:
            measure_client(name, work, url)
        case _:
            server = subprocess.Popen(
                [sys.executable, "-m", "bench.load_engine", "serve"], stdout=subprocess.PIPE, text=True
            )
            assert server.stdout is not None
            try:
                compare(server.stdout.readline().strip())
            finally:
                server.kill()
                server.wait()


if __name__ == "__main__":
    main()
