"""Bayesian mixtures of normal distributions for a column of numbers."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors and type checkers
    from .data import as_column
    from .diagnostics import convergence
    from .files import load
    from .fitting import Fit, fit
    from .model import falling_prior, range_priors
    from .posterior import log_components
    from .report import COLORS
    from .sampler import gibbs

__version__ = "1.1.0"
# Public names by module, loaded on first use. No module has the name of what it holds:
# its import would put the module in the place of the function.
_MODULES = {
    "COLORS": "report", "Fit": "fitting", "as_column": "data",
    "convergence": "diagnostics", "falling_prior": "model", "fit": "fitting",
    "gibbs": "sampler", "load": "files", "log_components": "posterior",
    "range_priors": "model",
}  # fmt: skip
__all__ = ["COLORS", "Fit", "as_column", "convergence", "falling_prior", "fit", "gibbs",
           "load", "log_components", "range_priors"]  # fmt: skip


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
