"""The fixtures of the tests.

What only the tutorial's environment has is imported where it is used.
"""

import shutil
import signal
import sys
from pathlib import Path

import pytest
from reference import SEED, Reference, simulate

sys.path.insert(0, str(Path(__file__).parents[1]))
# A shell's background jobs ignore Ctrl+C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before those that are not wanted are left out
def pytest_collection_modifyitems(items):
    for item in items:
        for fixture, marker in {"executed": "executes", "stored": "stored"}.items():
            if fixture in item.fixturenames:
                item.add_marker(marker)


@pytest.fixture(scope="session")
def reference():
    """The posterior of the tutorial's data, without the tutorial."""
    return Reference(simulate())


@pytest.fixture(scope="session")
def stored():
    """The committed notebook."""
    import nbformat
    from page import IPYNB

    return nbformat.read(IPYNB, as_version=4)


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """The one execution of the tutorial, in full, that all tests of it share."""
    from page import executed_in_a_kernel, read

    folder = tmp_path_factory.mktemp("kernel")
    yield from executed_in_a_kernel(read(RANDOM_SEED=SEED), folder)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """Playwright drives a Chromium that the machine has: it downloads none."""
    known = "chromium chromium-browser google-chrome google-chrome-stable"
    known += " microsoft-edge"
    found = next(filter(None, map(shutil.which, known.split())), None)
    assert found, "no Chromium on this machine's path, so nothing is tried in a browser"
    return {**browser_type_launch_args, "executable_path": found}
