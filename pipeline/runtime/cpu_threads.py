"""The default number of CPU threads, independent of torch's current setting."""

import os

import psutil


def usable_cpus() -> int:
    """Number of CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """``OMP_NUM_THREADS`` if set; otherwise one per physical core that this process may use."""
    wish = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if wish.isdecimal() and int(wish):
        return int(wish)
    return min(usable_cpus(), psutil.cpu_count(logical=False) or usable_cpus())
