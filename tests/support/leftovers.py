"""Finds the processes that a test's commands started and left: each test has a HOME of its own, which they inherit."""

from pathlib import Path

import psutil


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the living processes whose HOME is `home`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def end_processes_of(home: Path) -> None:
    """End them, the hard way where they don't go by themselves."""
    processes = processes_of(home)
    for process in processes:
        process.terminate()
    for process in psutil.wait_procs(processes, timeout=10)[1]:
        process.kill()
