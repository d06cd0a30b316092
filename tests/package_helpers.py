"""What tests of the package share; they run where `conftest.py` cannot, too."""

import numpy as np

from mixtures import sampler


def same(a, b):
    """Whether two columns are the same to the last digit."""
    return all(np.array_equal(x, vars(b)[name]) for name, x in vars(a).items())


def interrupt_sweep(monkeypatch, at):
    """Let the sweep of that number, from one, be interrupted instead."""
    calls, step = [], sampler.step

    def interrupted(*arguments):
        calls.append(0)
        if len(calls) == at:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(sampler, "step", interrupted)
