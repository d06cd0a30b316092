"""Bayesian mixtures of normal distributions for a column of numbers."""

from .convergence import convergence
from .data import as_column
from .fit import Fit, fit
from .model import falling_prior, range_priors
from .sampler import gibbs

__all__ = [
    "Fit",
    "as_column",
    "convergence",
    "falling_prior",
    "fit",
    "gibbs",
    "range_priors",
]
