"""Jumps: whole states proposed at once, from what chains saw while they tuned.

A mixture of multivariate t distributions over (log ratios of weights, means, log
widths) is fitted to the states of all chains, then fixed, and proposes states whatever
the present one: a Metropolis-Hastings step beside the sweep, categories summed out.

Sources: Hastie (2005), "Towards automatic reversible jump Markov chain Monte Carlo";
Hastie and Green (2012), doi:10.1111/j.1467-9574.2012.00516.x; t mixtures by
EM: Peel and McLachlan (2000), doi:10.1023/A:1008981510081.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import gammaln, logsumexp

from .model import TINY, Model, State, log_likelihood

FREEDOM = 8  # degrees of freedom: tails are heavier than the posterior's
WIDE = 0.05  # share of a component twice as wide as all: no state is out of reach
STATES, RANDOM, FAR = 300, 10, 6  # a dimension; components by where they start
LEARN = 100, 300  # after so many sweeps of tuning, and once more when it ends
TRIAL = range(200, 300)  # sweeps of tuning without jumps, splits and merges
BLOCK = 25  # proposals for every chain that are made at once
RATES = 0, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4  # jumps a sweep from which to choose
COST, COST_OF_PROPOSAL = 1.0, 0.5  # in sweeps, of the present states and of a proposal
LEAST_GAIN = 1.1  # what jumps have to bring, since gain and cost are estimates
STUCK = 1 / 5  # of the draws, in a row: where a chain is the proposal hardly goes


@dataclass(frozen=True, eq=False)
class TMixture:
    """A mixture of multivariate t distributions.

    Attributes
    ----------
    weight : ndarray, (components,)
    mean : ndarray, (components, dimensions)
    root : ndarray, (components, dimensions, dimensions)
        Cholesky factors of the scale matrices, lower.
    """

    weight: np.ndarray
    mean: np.ndarray
    root: np.ndarray

    @cached_property
    def _constants(self):
        d = self.mean.shape[1]
        log_size = np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(axis=1)
        log_norm = gammaln((FREEDOM + d) / 2) - gammaln(FREEDOM / 2)
        log_norm -= d / 2 * np.log(FREEDOM * np.pi)
        return np.linalg.inv(self.root), np.log(self.weight) + log_norm - log_size

    def log_terms(self, x):
        """Log densities at x, (n, d), and squared distances: (components, n) both."""
        inverse, constant = self._constants
        away = (x - self.mean[:, None]) @ inverse.swapaxes(1, 2)
        square = np.einsum("mnd,mnd->mn", away, away)
        power = (FREEDOM + x.shape[1]) / 2
        return constant[:, None] - power * np.log1p(square / FREEDOM), square

    def log_density(self, x):
        """Log density at x, (n, dimensions): (n,)."""
        return np.logaddexp.reduce(self.log_terms(x)[0], axis=0)

    def draw(self, rng, size):
        """So many draws, (size, dimensions)."""
        component = rng.choice(len(self.weight), size, p=self.weight)
        noise = rng.standard_normal((size, self.mean.shape[1]))
        noise *= np.sqrt(FREEDOM / rng.chisquare(FREEDOM, size))[:, None]
        return self.mean[component] + (self.root[component] @ noise[..., None])[..., 0]


def fitted(x, rng, rounds=10):
    """The t mixture of states x, (n, dimensions), in random order, by EM."""
    n, d = x.shape
    base = np.cov(x.T, ddof=0).reshape(d, d)
    base += np.diag(1e-9 * np.diag(base) + 1e-12)
    root, starts = np.linalg.cholesky(base), [*range(RANDOM)]
    z = x @ np.linalg.inv(root).T
    for _ in range(FAR):  # as in k-means++: a rare mode has a component then
        away = cdist(z, z[starts], "sqeuclidean").min(axis=1) + TINY
        starts.append(rng.choice(n, p=away / away.sum()))
    equal, narrow = np.full(len(starts), 1 / len(starts)), len(starts) ** (-1 / d)
    q = TMixture(equal, x[starts], np.repeat(narrow * root[None], len(starts), axis=0))
    for _ in range(rounds):
        terms, square = q.log_terms(x)
        share = np.exp(terms - logsumexp(terms, axis=0))
        used = share.sum(axis=1) > 0.003 * n
        share, square = share[used], square[used]
        total = share.sum(axis=1)
        near = share * (FREEDOM + d) / (FREEDOM + square)
        mean = near @ x / near.sum(axis=1)[:, None]
        away = x - mean[:, None]
        scale = (near[..., None] * away).swapaxes(1, 2) @ away / total[:, None, None]
        # Of few states a covariance is drawn towards independence
        few = (d / (d + total**2 / (share**2).sum(axis=1)))[:, None, None]
        alone = scale * np.eye(d) + 0.1 / len(starts) ** (2 / d) * base
        scale = (1 - few) * scale + few * alone + 1e-9 * base * np.eye(d)
        q = TMixture(total / total.sum(), mean, np.linalg.cholesky(scale))
    return TMixture(
        np.r_[(1 - WIDE) * q.weight, WIDE],
        np.vstack([q.mean, x.mean(axis=0)]),
        np.concatenate([q.root, 2 * root[None]]),
    )


def pack(state: State, own_widths: bool) -> np.ndarray:
    """States of one number of clusters as points, (chains, dimensions)."""
    sd = state.sd if own_widths else state.sd[:, :1]
    p = np.maximum(state.p, TINY)
    return np.hstack([np.log(p[:, :-1] / p[:, -1:]), state.means, np.log(sd)])


def unpack(x: np.ndarray, number: int) -> State:
    """The states of points, (n, dimensions), with so many clusters."""
    ratio = np.c_[x[:, : number - 1], np.zeros(len(x))]
    p = np.exp(ratio - ratio.max(axis=1, keepdims=True))
    p = np.maximum(p / p.sum(axis=1, keepdims=True), TINY)
    means, log_sd = x[:, number - 1 : 2 * number - 1], x[:, 2 * number - 1 :]
    sd = np.exp(log_sd) * np.ones_like(means)
    return State(p, means, sd, np.full(len(x), number))


def log_jacobian(state: State, own_widths: bool) -> np.ndarray:
    """Of points, over weights and variances, of which densities are: (n,)."""
    ratios, widths = np.log(state.p).sum(axis=1), np.log(2 * state.sd**2)
    return ratios + (widths.sum(axis=1) if own_widths else widths[:, 0])


def log_target(model: Model, state: State, chains: int) -> np.ndarray:
    """Log posterior, at points, of states in the order of their means: (n,).

    chains : how many states to look at together; all, if chains have data of their own
    """
    given = state.p, state.means, state.sd
    value = model.prior.log_density(*given, state.number)
    value += log_jacobian(state, model.prior.own_widths)
    for i in range(0, len(value), chains):
        rows = slice(i, i + chains)
        value[rows] += log_likelihood(model, *(x[rows] for x in given))
    inside = np.isfinite(value) & (np.diff(state.means) >= 0).all(axis=1)
    return np.where(inside, value, -np.inf)


def slowness(sweeps, stay):
    """Autocorrelation times, with jumps of such chances to stay: (rates, dimensions).

    A sweep is taken as a linear autoregression, whose memory a jump ends.
    sweeps : points before and after plain sweeps, (sweeps, 2, chains, dimensions)
    stay : for each rate of jumps, (rates,)
    """
    x, y = sweeps.swapaxes(0, 1).reshape(2, -1, sweeps.shape[-1])
    x, y = ((z - x.mean(axis=0)) / (x.std(axis=0) + TINY) for z in (x, y))
    root = np.linalg.cholesky(x.T @ x / len(x) + 1e-6 * np.eye(x.shape[1]))
    inverse, lagged = np.linalg.inv(root), x.T @ y / len(x)
    # Both orders are averaged: a sweep is reversible, but for the order of its parts
    value, vector = np.linalg.eigh(inverse @ (lagged + lagged.T) @ inverse.T / 2)
    cut = np.clip(value, 0, 0.999) * stay[:, None]
    return ((1 + cut) / (1 - cut)) @ ((root @ vector) ** 2).T


def slowness_of_means(sweeps, linear, stay):
    """Like `slowness`, from how far apart the means of chains are.

    Zero where they are as near as the linear figure, (dimensions,), has it.
    sweeps : points after plain sweeps, (sweeps, chains, dimensions)
    """
    n, chains, _ = sweeps.shape
    apart = sweeps.mean(axis=0).var(axis=0, ddof=1)
    time = n * apart / (sweeps.var(axis=(0, 1)) + TINY)
    slower = time > (1 + 4 * np.sqrt(2 / (chains - 1))) * linear  # than by chance
    cut = np.clip((time - 1) / (time + 1), 0, 0.999) * stay[:, None]
    return slower * (1 + cut) / (1 - cut)


class Jumps:
    """Jumps of chains of one known number of clusters; they learn while chains tune.

    Attributes
    ----------
    proposal : TMixture or None
        Fixed while draws are kept: it does not hang on the chains then.
    rate : float
        Jumps a sweep, one of `RATES`.
    longest : ndarray, (chains,)
        The most sweeps in a row in which a chain refused all its jumps.
    """

    def __init__(self, model: Model, chains: int):
        self.model, self.chains, self.number = model, chains, model.prior.numbers[0]
        self.proposal, self.rate, self.fixed = None, 0, False
        self.seen: list = []  # points before and after sweeps of tuning
        self.block: list = []  # proposals that are left, with their log weights
        self.sweeps = 0
        self.refused = self.longest = np.zeros(chains, int)

    @property
    def trial(self) -> bool:
        """Whether sweeps are left alone, to see how well they mix."""
        return not self.fixed and len(self.seen) in TRIAL

    def log_weight(self, state, x):
        """Log of target over proposal of states and their points: (n,)."""
        value = log_target(self.model, state, self.chains)
        return value - self.proposal.log_density(x)

    def proposed(self, rng):
        """A point for every chain and its log weights, from a block of proposals."""
        if not self.block:
            x = self.proposal.draw(rng, BLOCK * self.chains)
            with np.errstate(all="ignore"):  # far out anything may overflow
                weight = self.log_weight(unpack(x, self.number), x).reshape(BLOCK, -1)
            self.block = list(zip(x.reshape(*weight.shape, -1), weight))
        return self.block.pop()

    def __call__(self, before: State, state: State, tuning: bool, rng) -> State:
        """The state after jumps that follow a sweep; all states are sorted."""
        if tuning:
            self.learn(before, state, rng)
        elif not self.fixed:
            self.fix(rng)
        return self.jumped(state, rng)

    def jumped(self, state: State, rng: np.random.Generator) -> State:
        """The state after the jumps of a sweep."""
        self.sweeps += 1
        if not self.rate or self.trial or self.sweeps % max(1, round(1 / self.rate)):
            return state
        x = pack(state, self.model.prior.own_widths)
        weight, jumped = self.log_weight(state, x), np.zeros(self.chains, bool)
        for _ in range(max(1, int(self.rate))):
            new, new_weight = self.proposed(rng)
            accept = np.log(rng.random(self.chains)) < new_weight - weight
            x[accept], weight = new[accept], np.where(accept, new_weight, weight)
            jumped |= accept
        self.refused = np.where(jumped, 0, self.refused + max(1, round(1 / self.rate)))
        self.longest = np.maximum(self.longest, self.refused)
        old, new = state.of_clusters, unpack(x, self.number).of_clusters
        jumped = jumped[:, None]
        arrays = {name: np.where(jumped, new[name], old[name]) for name in new}
        return State(**arrays, number=state.number)

    @property
    def attrs(self) -> dict:
        """Attributes of draws: jumps a sweep, and `longest` of all chains."""
        return dict(jumps=self.rate, refused=int(self.longest.max()))

    def stuck(self, draws: int) -> bool:
        """Whether a chain refused all jumps for over a fifth of so many draws."""
        return bool(self.longest.max() > STUCK * draws)

    def learn(self, before, after, rng):
        """Learn from the states before and after a sweep of tuning."""
        own_widths = self.model.prior.own_widths
        self.seen.append((pack(before, own_widths), pack(after, own_widths)))
        if len(self.seen) in LEARN:
            self.fit_proposal(rng)

    def fix(self, rng):
        """Learn for the last time: from now on chains have a law that stays."""
        self.rate, self.fixed = 0, True
        if len(self.seen) >= LEARN[0]:
            self.fit_proposal(rng)
        self.seen = []
        self.refused = self.longest = np.zeros(self.chains, int)

    def fit_proposal(self, rng):
        """Fit the proposal to the last two fifths of what was seen; choose the rate."""
        x = np.array([after for _, after in self.seen[3 * len(self.seen) // 5 :]])
        x = rng.permutation(x.reshape(-1, x.shape[2]))[: STATES * x.shape[2]]
        self.proposal, self.block = fitted(x, rng), []
        tried = self.fixed or len(self.seen) >= TRIAL.stop
        self.rate = self.best_rate(rng) if tried else 1

    def chances_to_stay(self, rng):
        """Of a chain, to refuse all jumps of a sweep, on average: (rates,)."""
        rates = np.array(RATES)
        proposed = np.array([self.proposed(rng)[1] for _ in range(BLOCK)])
        states = [x for _, x in self.seen[-LEARN[0] :: 10]]
        now = [self.log_weight(unpack(x, self.number), x) for x in states]
        odds = np.exp(np.minimum(proposed - np.array(now)[:, None], 0))
        stay = (1 - odds.mean(axis=1)).ravel() ** np.maximum(rates, 1)[:, None]
        return 1 - np.minimum(rates, 1) * (1 - stay.mean(axis=1))

    def best_rate(self, rng):
        """The jumps a sweep that promise the most for what they cost."""
        rates, stay = np.array(RATES), self.chances_to_stay(rng)
        plain = np.array(self.seen[: TRIAL.stop][-len(TRIAL) :])
        time = slowness(plain, stay)
        time = np.maximum(time, slowness_of_means(plain[:, 1], time[0], stay))
        cost = COST + COST_OF_PROPOSAL * np.maximum(rates, 1)
        effort = (1 + np.minimum(rates, 1) * cost) * time.max(axis=1)
        best = effort.argmin()
        return RATES[best] if effort[0] > LEAST_GAIN * effort[best] else 0
