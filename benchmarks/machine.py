"""What the figures were measured on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.measure import threads_allowed

PACKAGES = ("gdregress", "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "celer", "torch")
"""Those whose versions matter, installed or not."""


def describe() -> dict:
    """Give processor, cores, memory, threads and versions, as plain values."""
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory(),
        "system": platform.system(),
        "threads": threads_allowed(),
        "thread_variables": {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")},
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def sentence(machine: dict) -> str:
    """Say it in a line."""
    versions = [f"{name} {number}" for name, number in machine["versions"].items() if number is not None]
    memory = "" if machine["memory_bytes"] is None else f", {machine['memory_bytes'] / 2**30:.0f} GiB"
    threads = "".join(f", {name} on {number} threads" for name, number in machine["threads"].items())
    return f"{machine['processor']}, {machine['cores']} cores{memory}{threads}; {', '.join(versions)}."


def _memory() -> int | None:
    total = _first("/proc/meminfo", "MemTotal")
    return None if total is None else 1024 * int(total.split()[0])


def _first(file: str, key: str) -> str | None:
    """Give the first value of a key in a file of Linux; None where there is none."""
    path = Path(file)
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
