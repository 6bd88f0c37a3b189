"""The collector's figures and the sampler's snapshot."""

import asyncio
import contextlib

import pytest

from apimon import PerformanceCollector
from apimon.server.monitoring import sampler
from apimon.server.monitoring.sampler import ProcessSampler


def test_system_and_python_figures_need_no_loop() -> None:
    collector = PerformanceCollector()
    system, python = collector.get_system_metrics(), collector.get_python_metrics()
    assert list(system) == ["cpu_percent", "memory_rss_mb", "memory_percent", "open_files", "threads"]
    assert list(python) == ["gc_objects", "gc_collections", "uptime_seconds"]
    assert min(system["memory_rss_mb"], system["threads"], python["gc_objects"], python["uptime_seconds"]) > 0


async def test_async_figures_count_the_tasks() -> None:
    collector = PerformanceCollector()
    before = await collector.get_async_metrics()
    waiting = [asyncio.create_task(asyncio.Event().wait()) for _ in range(3)]
    after = await collector.get_async_metrics()
    for task in waiting:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert after["active_tasks"] - before["active_tasks"] == 3
    assert after["pending_tasks"] == after["active_tasks"] - 1
    assert after["loop_time"] >= before["loop_time"]


async def test_all_figures_are_the_three_together() -> None:
    figures = await PerformanceCollector().get_all_metrics()
    assert len(figures) == 11


def test_sampler_measures_without_a_loop() -> None:
    process = ProcessSampler()
    process.start()
    assert process.snapshot.fields["memory_rss_mb"] > 0
    assert process.snapshot.fields["active_tasks"] == 0


async def test_sampler_renews_its_snapshot_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "INTERVAL_S", 0.0)
    monkeypatch.setattr(sampler, "LAG_INTERVAL_S", 0.001)
    process = ProcessSampler()
    process.start()
    first = process.snapshot
    assert first.fields["active_tasks"] >= 1
    while process.snapshot is first:  # noqa: ASYNC110 - a timer of the sampler's own ends it
        await asyncio.sleep(0)
    assert process.snapshot.fields["loop_lag_ms"] >= 0
    process.stop()
