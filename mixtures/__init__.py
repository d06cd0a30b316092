"""Bayesian mixtures of normal distributions for a column of numbers."""

from .data import as_column, range_priors
from .results import Fit, falling_prior, fit
from .sampler import gibbs

__all__ = ["Fit", "as_column", "falling_prior", "fit", "gibbs", "range_priors"]
