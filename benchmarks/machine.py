"""What the figures were measured on, and what processes cost, read from /proc."""

import json
import os
import platform
import time
import timeit
from pathlib import Path
from typing import Final

import psutil

_DOCUMENT: Final = json.dumps({f"field {n}": [n, n / 7, str(n), {"of": n}] for n in range(8)})
_RUNS: Final = 200


def machine() -> dict[str, object]:
    """Return processor, cores, memory, versions and how fast all of these are together."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "reference_us": reference_us(),
    }


def reference_us() -> float:
    """Return the least processor time of a fixed piece of Python's work, microseconds.

    Machines, and Pythons built with and without optimisation, differ by a factor of two: figures of two
    reports are comparable after division by this.
    """
    runs_s = timeit.repeat(
        lambda: json.dumps(json.loads(_DOCUMENT), sort_keys=True),
        timer=time.thread_time,
        repeat=50,
        number=_RUNS,
    )
    return round(min(runs_s) / _RUNS * 1e6, 1)


def family(pid: int) -> list[psutil.Process]:
    """Return process `pid` and everything below it; nothing where it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def resident_mb(processes: list[psutil.Process]) -> float:
    """Return the memory of `processes` in MB; pages they share count once (proportional set size)."""
    total = 0
    for process in processes:
        try:
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except (OSError, psutil.Error):
            continue
    return round(total / 1024, 1)


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Return user and system time that `processes` have used so far."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of `values` lie; 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
