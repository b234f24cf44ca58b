"""What the figures were measured on, and what processes cost, read from /proc."""

import os
import platform
from pathlib import Path

import psutil


def machine() -> dict[str, object]:
    """Return processor, cores, memory and versions."""
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
    }


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
