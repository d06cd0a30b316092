"""Every number and every formula of the prose has a source: code, a test, or a measurement."""

import ast
import importlib
import inspect
import math
import re

import jupytext
import numpy as np
import pytest
from conftest import MD, cell_that_defines, parsed

# Passages of the prose; each number in braces is what the expression gives, in the
# tutorial's own names.
CODE = {
    "Top: {500} points, the three clusters": "ndata",
    "with standard deviation {1}.": "np.std(data - centers[v]).round()",
    "posterior has $k! = {6}$ equal copies": "math.factorial(k)",
    "which cluster is called {0}": "0",
    "Adding {0} changes nothing": "0",
    "any weight under {0.1}, so": "default(mixture_model, 'min_weight')",
    "rules out {51} % of all possible": "100 * (1 - (1 - 3 * 0.1) ** 2)",
    "a mean of {30} is only two": "2 * priors['scale']",
    "any width up to {20} will": "priors['widest']",
    "shortest interval that holds {94} % of it": "94",
    "Four chains of {20,000} draws, after {5,000} draws": "draws, tune",
    "why {80,000} draws are worth only some thousands": "chains * draws",
    "overlap, with `spread = {3}`?": "np.ptp((nearer - data + centers[v]).round(9)) / 2",
    "bands hold {94} % of the posterior": "100 * (0.97 - 0.03)",
    "band that holds {94} % of the replicates": "100 * (0.97 - 0.03)",
    "with the {94} % band of each cluster": "100 * (0.97 - 0.03)",
    "{32} of them cost": "default(prepare, 'chains')",
    "serve {32} chains at once": "default(prepare, 'chains')",
    "a sample of at most {3,000} points": "3_000",
    "to a place $e^{{10}}$ times": "default(settle, 'odds')",
    "draws with `spread = {2}`.": "np.ptp((close - data + centers[v]).round(9)) / 2",
    "velocities of {82} galaxies": "velocities.size",
    "is mended to {26,960}.": "1000 * velocities[77]",
    "**What {82} galaxies say.**": "velocities.size",
    "every number from 1 to {30} equally": "flat['k'].size",
    "cut off at {8}, and": "reserve['k'].size",
    "Numbers over {8} have": "default(number_of_clusters, 'largest')",
    "a billion points are {200} shards of five million, and a sweep of four chains "
    "takes each of 200 cores {0.3} seconds": "1e9 / 5e6, 5e6 * 4 * 16e-9",
    "It moves at most {5} kB a shard, {1} MB in all": "5, 200 * 5e-3",
}
# What runs print, in the names of the executed notebook.
RUNS = {
    "a slow group near {10}, the bulk near {21} and a fast group near {33};": (
        "own.posterior['means'].mean(['chain', 'draw']).values.round().tolist()"
    ),
    "in the second it is still the {1.0} that it started from": (
        "untuned.sample_stats['scaling'].values[1, -1, 0]"
    ),
}
# What the prose says of them in words.
CLAIMS = {
    "here humps and valleys are as the model expects": "agreement['inside'].all()",
    "Without an order R-hat is large": "convergence(switching)[0] > 1.1",
    "NUTS is worth the most where clusters overlap": (
        "np.argmax([convergence(run)[1] / run.posterior['sd'].size"
        " for run in (nearer_trace, nearer_nuts, nearer_fit)]) == 1"
    ),
    "the bulk is probably more than twice as wide as the slow group": (
        "(galaxies.posterior['sd'][..., 1] > 2 * galaxies.posterior['sd'][..., 0]).mean()"
        " > 0.7"
    ),
    "five and six are likeliest for the galaxies under the flat prior": (
        "{*of_galaxies['occupied'].nlargest(2).index} == {5, 6}"
    ),
    "and three under the falling one": "number == 3",
    "With three clusters they are a slow group": "own.posterior.sizes['cluster'] == 3",
}
# Limits that a source or a convention gives, and values that the reader is to set.
GIVEN = {
    "The mean of cluster 0 in two": "a name",
    "It needs Python 3.10, a C++": ".python-version",
    "At most 1.01 says": "Vehtari et al. (2021)",
    "What keeps R-hat over 1.01": "Vehtari et al. (2021)",
    "`hdi_3%` and `hdi_97%` bound": "ArviZ's names",
    "still high at lag 100 asks": "a rule of thumb",
    "not died out after 100 draws": "where Figure 4 ends",
    "over 4 would be no accident": "a normal deviate, 1 in 16,000",
    "copied misprint, 26,690,": "the R package MASS and its copies",
    "a sample of 500 decides": "`some` in *Your own column*",
    "near 20 and the gap after it": "Figure 11",
    "dask[dataframe]==2024.8.1 pyarrow": "requirements.in",
    "`y + da.random.default_rng(1).uniform(-step / 2, step / 2, y.shape,": "an example",
    "The row of 100 points": "the table above it",
    "On 100 such machines": "an example",
    "1. Set `spread = 3` and": "an exercise",
    "2. In `mixture_model` give": "an exercise",
    "3. Add a second": "an exercise",
    "4. Call `gibbs(data, 4, priors, concentration=0.01)`": "an exercise",
    "5. Ask for the number of clusters of `velocities[7:]`": "an exercise",
    "`marginal_model(velocities, 3, own_priors": "the cell above it",
}
# What was measured elsewhere, and how.
MEASURED = {
    "took 53 minutes for two chains that way when we measured it, and its 40,000 draws "
    "were worth 29": (
        "the original of pymc-examples as it was, 2 chains with cores=1 on two cores, "
        "3,165 s, PyMC3 3.11.6: smallest bulk effective size by ArviZ's summary"
    ),
    "for three clusters about 16 ns a point and chain on each of two cores": (
        "`seconds_a_sweep` of 10**7 points on two workers, less that of 100: 0.079 s"
    ),
    "ten million points took 66 seconds and 0.8 GB for 170 sweeps, a hundred million "
    "248 seconds and 1.5 GB for 70": (
        "the section's cell with y = like_data(10**7, 2) and (10**8, 20), four chains, "
        "the whole of it; the sum of the processes' proportional set sizes, twice a second"
    ),
    "`draws=35_000` brought it under": (
        "`gibbs(close, k, priors, min_weight=0.1, draws=35_000, **long_chains)`: R-hat"
        " 1.004, with the seeds 1 and 2 it is 1.002 and 1.006"
    ),
    "The table was tried with PyMC 6.3": (
        "both models and `marginalize`, sampled by PyMC 6.3.2, pymc-extras 0.15.1"
    ),
    "hdi_prob=0.94)` | `az.summary(run, ci_prob=0.94,": "ArviZ 1.3.0",
    "Handing out 200 tasks takes Dask 0.4 seconds": (
        "`seconds_a_sweep` of 200 shards of one point"
    ),
}
# Formulas, each with the function of a test that evaluates it beside the code.
FORMULAS = {
    r"p &\sim \operatorname{Dirichlet}(1, \ldots, 1) && \text{the clusters' weights, which sum to one} \\"
    "\n"
    r"\mu_j &\sim \operatorname{Normal}(0, 15) && \text{the mean of cluster } j = 1, \ldots, k \\"
    "\n"
    r"\sigma &\sim \operatorname{Uniform}(0, 20) && \text{the standard deviation, shared by all clusters} \\"
    "\n"
    r"c_i &\sim \operatorname{Categorical}(p) && \text{the cluster of point } i = 1, \ldots, n \\"
    "\n"
    r"y_i &\sim \operatorname{Normal}(\mu_{c_i}, \sigma) && \text{the value of point } i": (
        "test_model.test_log_probability_of_the_mixture"
    ),
    r"\log p_{c_i} + \log \operatorname{Normal}(y_i \mid \mu_{c_i}, \sigma)": (
        "test_model.test_log_probability_of_the_mixture"
    ),
    r"\min\left(1, \frac{p_{c_i'} \operatorname{Normal}(y_i \mid \mu_{c_i'}, \sigma)}"
    r"{p_{c_i} \operatorname{Normal}(y_i \mid \mu_{c_i}, \sigma)}\right)": (
        "test_step_method.transitions"
    ),
    r"\frac{p_j \operatorname{Normal}(x \mid \mu_j, \sigma)}"
    r"{\sum_l p_l \operatorname{Normal}(x \mid \mu_l, \sigma)}": (
        "test_after_sampling.test_membership_is_bayes_rule"
    ),
    r"proportional to $p_j \operatorname{Normal}(y_i \mid \mu_j, \sigma)$": (
        "test_gibbs.test_each_draw_is_the_page_s_conditional"
    ),
    r"p \sim \operatorname{Dirichlet}(1 + n_1, \ldots, 1 + n_k)": (
        "test_gibbs.test_each_draw_is_the_page_s_conditional"
    ),
    r"$\tau_j = n_j / \sigma^2 + 1 / 15^2$ and mean $(s_j / \sigma^2) / \tau_j$": (
        "test_gibbs.test_each_draw_is_the_page_s_conditional"
    ),
    r"With $S = \sum_i (y_i - \mu_{c_i})^2$, the density of $\sigma$ is proportional to "
    r"$\sigma^{-n} e^{-S / 2\sigma^2}$ up to 20: below that wall $1/\sigma^2$ is gamma "
    r"distributed with shape $(n - 1)/2$ and rate $S/2$": (
        "test_gibbs.test_each_draw_is_the_page_s_conditional"
    ),
    r"\sum_{i=1}^{n} \log \sum_{j=1}^{k} p_j \operatorname{Normal}(y_i \mid \mu_j, \sigma)": (
        "test_model.test_log_probability_of_the_marginal_model"
    ),
    r"uniform above 0.1 are exactly $0.1 + (1 - 0.1\,k)$ times": (
        "test_model.test_log_probability_of_the_marginal_model"
    ),
    r"1/\sigma_j^2 \sim \operatorname{Gamma}(2, \beta), \qquad "
    r"\beta \sim \operatorname{Gamma}(0.2,\; 10/R^2)": "test_model.log_priors",
    r"$\beta \sim \operatorname{Gamma}(0.2 + 2k_+,\; 10/R^2 + \sum_j 1/\sigma_j^2)$": (
        "test_gibbs.test_one_sweep_leaves_the_joint_law_as_it_is"
    ),
    r"$1/\sigma_j^2 \sim \operatorname{Gamma}(2 + n_j/2,\; \beta + S_j/2)$": (
        "test_gibbs.test_one_sweep_leaves_the_joint_law_as_it_is"
    ),
    r"P(k \mid n_1, n_2, \ldots) \propto P(k) \, \frac{k!}{(k - k_+)!} \, "
    r"\frac{\Gamma(k \alpha_k)}{\Gamma(n + k \alpha_k)} \prod_{j:\, n_j > 0} "
    r"\frac{\Gamma(n_j + \alpha_k)}{\Gamma(\alpha_k)}": (
        "test_gibbs.test_the_number_s_factors_are_the_formula"
    ),
    r"in proportion to $1/k$, here $1/k$ itself": "test_prose.test_numbers_of_the_code",
}


def page_prose():
    cells = jupytext.read(MD).cells
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return prose.partition("## Further reading")[0]


def marked(passage):
    """The passage as it stands in the prose, and the numbers in its braces."""
    return re.sub(NUMBER, r"\1", passage), re.findall(NUMBER, passage)


NUMBER = r"\{([\d.,]*\d)\}"


def assert_is_the_value(passage, value):
    plain, numbers = marked(passage)
    assert plain in page_prose(), f"not in the prose: {plain}"
    values = np.atleast_1d(value).astype(float)
    assert len(numbers) == values.size > 0
    for number, one in zip(numbers, values):
        number = number.replace(",", "")
        digits = len(number.partition(".")[2])
        assert float(number) == pytest.approx(round(one, digits)), f"{plain}: {one}"


def default(function, name):
    return inspect.signature(function).parameters[name].default


def sampling():
    """Keyword arguments of `pm.sample` where the prose's main run is."""
    calls = ast.walk(parsed(cell_that_defines("trace")))
    (call,) = (
        node
        for node in calls
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pm.sample"
    )
    constants = [word for word in call.keywords if isinstance(word.value, ast.Constant)]
    return {word.arg: word.value.value for word in constants}


@pytest.mark.parametrize("passage", CODE)
def test_numbers_of_the_code(tutorial, passage):
    names = {**tutorial, **sampling(), "math": math, "default": default}
    assert_is_the_value(passage, eval(CODE[passage], names))


@pytest.mark.parametrize("passage", RUNS)
def test_numbers_of_the_runs(executed, passage):
    assert_is_the_value(passage, executed.evaluate(RUNS[passage]))


@pytest.mark.parametrize("passage", CLAIMS)
def test_what_is_said_of_the_runs_in_words(executed, passage):
    assert passage in page_prose()
    assert executed.evaluate(CLAIMS[passage])


def test_every_number_and_formula_has_a_source():
    """What is left of the prose without the passages above has neither."""
    left = page_prose()
    known = [marked(passage)[0] for passage in (*CODE, *RUNS)]
    for passage in (*FORMULAS, *known, *GIVEN, *MEASURED):
        assert passage in page_prose(), f"not in the prose: {passage}"
        left = left.replace(passage, " ")
    for test in FORMULAS.values():
        module, name = test.split(".")
        assert callable(getattr(importlib.import_module(module), name))
    left = re.sub(r"\]\([^)]*\)", "] ", left)  # where links lead
    left = re.sub(r"\[[^\]]*\d{4}\)?\]|!\[[^\]]*\]", " ", left)  # citations, pictures
    left = re.sub(r"Figure \d+|\bpymc3?\b( 5)?", " ", left, flags=re.I)
    assert not re.findall(r".*\d.*", left), "numbers without a source"
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", left, flags=re.S)
    formulas = [
        x for x in formulas if re.search(r"frac|sum|prod|sim|propto|operatorn", x)
    ]
    assert not formulas, "formulas without a source"


def test_figures_are_numbered_as_they_are_cited():
    captions = re.findall(r"^\*\*Figure (\d+)\.", page_prose(), flags=re.M)
    assert captions == [str(i + 1) for i in range(len(captions))]
    assert set(re.findall(r"Figure (\d+)", page_prose())) <= set(captions)


def test_every_citation_stands_in_further_reading():
    cells = jupytext.read(MD).cells
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    reading = prose.partition("## Further reading")[2].partition("\n## ")[0]
    listed = re.findall(r"\[doi:([^\]]+)\]\(https://doi\.org/([^)]+)\)", reading)
    assert listed and all(shown == address for shown, address in listed)
    cited = re.findall(r"https://doi\.org/([^)]+)\)", page_prose())
    assert set(cited) <= {address for _, address in listed}
