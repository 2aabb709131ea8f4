"""Peak memory of a process tree: `python -m app.demo.memory PID` samples until SIGTERM, then prints megabytes.

PSS counts a page shared by several processes once, so the figure is what the tree really takes.
"""

import signal
import sys
import time

import psutil

INTERVAL_SECONDS = 0.25


def tree_pss(pid: int) -> float:
    """Megabytes of the process and all its descendants now."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def main() -> None:
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    peak = 0.0
    while not stopped:
        peak = max(peak, tree_pss(int(sys.argv[1])))
        time.sleep(INTERVAL_SECONDS)
    sys.stdout.write(f"{peak:.1f}\n")


if __name__ == "__main__":
    main()
