"""What tests ask of the processes that they start."""

import time

import psutil


def wait_until(condition, message, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.1)


def living(processes):
    """Those that have not ended; one that nobody has waited for yet has."""
    running = psutil.process_iter(["status"])
    running = {x for x in running if x.info["status"] != psutil.STATUS_ZOMBIE}
    return [one for one in processes if one in running]
