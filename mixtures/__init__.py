"""Bayesian mixtures of normal distributions for a column of numbers."""

from .data import as_column, range_priors
from .sampler import gibbs

__all__ = ["as_column", "gibbs", "range_priors"]
