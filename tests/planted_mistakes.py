"""Plant mistakes in a copy of the repository, one at a time, and say which test catches each: `make mistakes`.

Each mistake names the test that should catch it, and only that one is run. It counts as caught if the test fails,
and as survived if it passes or cannot run. The tests pass on a copy without a mistake: that is tried first.
`python tests/planted_mistakes.py WORD` plants only those whose name contains WORD.
"""

import base64
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbformat
import numpy as np
from conftest import cell_that_defines
from PIL import Image

ROOT = Path(__file__).parents[1]
MD, IPYNB = "gaussian_mixture_model.md", "gaussian_mixture_model.ipynb"


def text(file, *changes):
    """Replace texts, each of which stands in one place of `file`."""

    def plant(copy):
        content = (copy / file).read_text(encoding="utf-8")
        for old, new in changes:
            assert content.count(old) == 1, (
                f"{content.count(old)} times in {file}: {old}"
            )
            content = content.replace(old, new)
        (copy / file).write_text(content, encoding="utf-8")

    return plant


def code(*changes):
    """Replace code in both files of the pair, so that they stay in step."""

    def plant(copy):
        text(MD, *changes)(copy)
        notebook = jupytext.read(copy / MD)
        with_outputs = nbformat.read(copy / IPYNB, as_version=4)
        for cell, changed in zip(with_outputs.cells, notebook.cells):
            cell.source = changed.source
            cell.metadata = changed.metadata
        nbformat.write(with_outputs, copy / IPYNB)

    return plant


def stored(change):
    """Change the stored notebook by `change(notebook)`."""

    def plant(copy):
        notebook = nbformat.read(copy / IPYNB, as_version=4)
        change(notebook)
        nbformat.write(notebook, copy / IPYNB)

    return plant


def output(name, kind, edit):
    """Change what the cell that defines `name` shows by `edit`."""

    def change(notebook):
        for out in cell_that_defines(name, notebook.cells).outputs:
            data = out if kind == "text" else out.get("data", {})
            if kind in data:
                data[kind] = edit(data[kind])
                return
        raise LookupError(f"no {kind} of the cell that defines {name}")

    return stored(change)


def faint(png):
    """One of the black lines or letters of a figure left out."""
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))
    half = pixels[: len(pixels) // 2]
    half[(half < 60).all(axis=2)] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def other_figure(notebook):
    """The picture of the gallery and the README from another cell than the thumbnail's."""
    cells = [c for c in notebook.cells if "thumbnail" in c.metadata.get("tags", [])]
    (png,) = (o for o in cells[0].outputs if "image/png" in o.get("data", {}))
    png.data["image/png"] = faint(png.data["image/png"])


def forget_marks(notebook):
    del notebook.metadata["marks"]


NB, MODEL, OUT = (
    "tests/test_notebook.py::",
    "tests/test_model.py::",
    "tests/test_outputs.py::",
)
STEP, GIBBS, POST = (
    "tests/test_step_method.py::",
    "tests/test_gibbs.py::",
    "tests/test_posterior.py::",
)
DENSITY, MARGINAL = (
    MODEL + "test_log_probability_of_the_mixture",
    MODEL + "test_log_probability_of_the_marginal_model",
)
KERNEL, REFUSES = (
    STEP + "test_transition_probabilities",
    STEP + "test_refuses_dependent_categories",
)
LOCK, DATA = (
    NB + "test_lock_is_in_step_with_the_requirements",
    MODEL + "test_data_are_the_specified_ones",
)
EXACT, CALIBRATED = (
    GIBBS + "test_one_sweep_leaves_the_joint_law_as_it_is",
    GIBBS + "test_the_truth_has_a_uniform_rank",
)
MARKS, PAIR = NB + "test_outputs_belong_to_their_code", NB + "test_pair_is_in_step"
TAGS, COLUMN = (
    NB + "test_each_output_that_is_not_compared_has_a_reason",
    MODEL + "test_bad_columns_are_refused",
)
PROSE = "tests/test_prose.py::"
NUMBERS, SOURCES, DOIS = (
    PROSE + "test_numbers_of_the_code",
    PROSE + "test_every_number_and_formula_has_a_source",
    PROSE + "test_every_citation_stands_in_further_reading",
)
SAME = OUT + "test_outputs_are_the_stored_ones"
SWAPPED = (
    "v = rng.integers(0, k, ndata)\ndata = centers[v] + rng.standard_normal(ndata)",
    "noise = rng.standard_normal(ndata)\nv = rng.integers(0, k, ndata)\ndata = centers[v] + noise",
)

MISTAKES = {
    # the model and its data
    "another seed": (code(("RANDOM_SEED = 8927", "RANDOM_SEED = 8928")), DATA),
    "the two random draws swapped": (code(SWAPPED), DATA),
    "ordering potential turned round": (
        code(("tt.any(means[1:] < means", "tt.any(means[1:] > means")),
        DENSITY,
    ),
    "minimum weight forgotten": (
        code(("tt.min(p) >= min_weight", "tt.min(p) >= 0")),
        DENSITY,
    ),
    "center of the means forgotten": (
        code(('"means", priors["center"], ', '"means", 0, ')),
        DENSITY,
    ),
    "sd of each cluster": (
        code(
            ('upper=priors["widest"])', 'upper=priors["widest"], dims="cluster")'),
            ("means[category], sd, obs", "means[category], sd[category], obs"),
        ),
        MODEL + "test_model_has_the_specified_variables",
    ),
    "marginal model: sd under 2": (
        code(
            (
                'sd = pm.Uniform("sd", lower=0, upper=widest, testval=narrow)',
                'sd = pm.Uniform("sd", lower=0, upper=widest / 10, testval=widest / 20)',
            )
        ),
        MARGINAL,
    ),
    "marginal model: prior of twos": (
        code(
            (
                'pm.Dirichlet("rest", a=np.ones(k)',
                'pm.Dirichlet("rest", a=2 * np.ones(k)',
            )
        ),
        MARGINAL,
    ),
    "marginal model: prior of beta": (
        code(("alpha=0.2, beta=10", "alpha=0.2, beta=1")),
        MARGINAL,
    ),
    "marginal model: weights forgotten": (
        code(
            (
                "log_terms = tt.log(p) + pm.Normal",
                "log_terms = 0 * tt.log(p) + pm.Normal",
            )
        ),
        MARGINAL,
    ),
    "k = 9 refused": (
        code(("k * min_weight >= 1:", "k * min_weight >= 0.9:")),
        MODEL + "test_as_many_clusters_as_the_smallest_weight_allows",
    ),
    "k = 10 accepted": (
        code(("k * min_weight >= 1:", "k * min_weight > 1:")),
        MODEL + "test_impossible_numbers_of_clusters_are_refused",
    ),
    "missing values let through": (
        code(("    if bad.size:\n", "    if False:\n")),
        COLUMN,
    ),
    "text that looks like numbers taken": (
        code(("if not number or types", "if False and types")),
        COLUMN,
    ),
    # the vectorized step
    "category's prior forgotten in the step": (
        code(
            (
                "terms = [rv for rv in model.basic_RVs if category in",
                "terms = [rv for rv in model.observed_RVs if category in",
            )
        ),
        KERNEL,
    ),
    "proposals from all k categories": (
        code(("randint(1, k, q0.size)", "randint(0, k, q0.size)")),
        KERNEL,
    ),
    "acceptance ratio inverted": (
        code(
            (
                "sum(log_terms(proposal)) - sum(log_terms(q0))",
                "sum(log_terms(q0)) - sum(log_terms(proposal))",
            )
        ),
        KERNEL,
    ),
    "one uniform number for all points": (
        code(("np.random.uniform(size=q0.size)", "np.random.uniform()")),
        STEP + "test_points_move_independently",
    ),
    "guard of the step that sees nothing": (
        code(("    if not independent:\n", "    if False:\n")),
        REFUSES,
    ),
    "guard of the step without potentials": (
        code(
            (
                "[term for term in model.potentials if category",
                "[term for term in [] if category",
            )
        ),
        REFUSES,
    ),
    "guard that looks at the test point alone": (
        code(("0.1 * rng.standard_normal(value.shape) if", "0 * value if")),
        REFUSES,
    ),
    # Gibbs
    "Gibbs: weights' prior of twos": (
        code(
            (
                "standard_gamma(run.alpha[number - 1, None] + count)",
                "standard_gamma(1 + run.alpha[number - 1, None] + count)",
            )
        ),
        EXACT,
    ),
    "Gibbs: center of the means forgotten": (
        code(("(total / sd**2 + center / scale**2) / prec", "total / sd**2 / prec")),
        EXACT,
    ),
    "Gibbs: shape n / 2 of the width": (
        code(
            (
                "count.sum(axis=1, keepdims=True) - 1) / 2",
                "count.sum(axis=1, keepdims=True)) / 2",
            )
        ),
        EXACT,
    ),
    "Gibbs: own width's shape off by a half": (
        code(("standard_gamma(2 + count / 2)", "standard_gamma(2.5 + count / 2)")),
        EXACT,
    ),
    "Gibbs: beta from empty clusters too": (
        code(
            ("rng.standard_gamma(0.2 + 2 * filled)", "rng.standard_gamma(0.2 + 2 * k)")
        ),
        EXACT,
    ),
    "Gibbs: width from the means before": (
        code(
            (
                "            squares = np.maximum(square - 2 * means * total + count * means**2, 0)",
                "            squares = np.maximum(square - total**2 / np.maximum(count, 1), 0)",
            )
        ),
        EXACT,
    ),
    "number: labels not counted": (
        code(
            (
                "names += gammaln(k + 1) - gammaln(np",
                "names += 0 * gammaln(k + 1) - gammaln(np",
            )
        ),
        EXACT,
    ),
    "verdict that trusts chains that never moved": (
        code(("if not (r_hat <= 1.01 and ess >= 400)", "if r_hat > 1.01 or ess < 400")),
        GIBBS + "test_a_number_that_stands_still_is_not_trusted",
    ),
    "membership without the weights": (
        code(("return np.log(p) - np.log(sd *", "return 0 * np.log(p) - np.log(sd *")),
        STEP + "test_log_components_are_the_marginal_likelihood",
    ),
    "many equal values let through": (
        code(("refuse(times >= 6, ties)", "refuse(times >= 600, ties)")),
        GIBBS + "test_bad_arguments_are_refused_in_a_sentence",
    ),
    "rounding errors in empty clusters": (
        code(("    sums *= sums[..., :1] > 0  #", "    sums *= 1  #")),
        GIBBS + "test_empty_clusters_have_sums_of_zero",
    ),
    "widths of nothing": (
        code(("np.sqrt(np.minimum(inverse, 1e12))", "np.sqrt(inverse)")),
        GIBBS + "test_equal_values_short_of_the_limit",
    ),
    "rounding left in a column": (
        code(("    if times < 6:\n", "    if times < 6_000:\n")),
        GIBBS + "test_own_column",
    ),
    "number: product over all clusters": (
        code(("+ alpha) - gammaln(alpha)\n", "+ alpha + 1) - gammaln(alpha)\n")),
        GIBBS + "test_the_number_s_factors_are_the_formula",
    ),
    "membership of the first draws": (
        code(
            (
                'np.linspace(0, drawn.sizes["sample"] - 1, most)',
                "np.linspace(0, most - 1, most)",
            )
        ),
        STEP + "test_membership_is_bayes_rule",
    ),
    "worker processes that outlive the kernel": (
        code(("        os._exit(1)\n", "        pass\n")),
        "tests/test_bad_day.py::test_a_killed_kernel_takes_its_sampling_processes_along",
    ),
    # outputs
    "a cell edited, with its old outputs": (
        code(('bins=40, color="0.5")\nax.set(', 'bins=20, color="0.5")\nax.set(')),
        MARKS,
    ),
    "outputs without a mark": (stored(forget_marks), MARKS),
    "a cell edited in the .md alone": (
        text(MD, ('bins=40, color="0.5")\nax.set(', 'bins=20, color="0.5")\nax.set(')),
        PAIR,
    ),
    "a printed number edited by hand": (
        output("ndata", "text", lambda x: x.replace("182", "181")),
        SAME,
    ),
    "a table edited by hand": (
        output("hits", "text/html", lambda x: x.replace("<td>", "<td>1", 1)),
        SAME,
    ),
    "a figure without its line": (output("agreement", "image/png", faint), SAME),
    "an output names a path": (
        output("ndata", "text", lambda x: x + "/home/somebody/tutorial\n"),
        NB + "test_outputs_come_from_one_clean_run",
    ),
    "a picture that is not the notebook's": (
        stored(other_figure),
        NB + "test_thumbnail_is_the_notebook_s_own_figure",
    ),
    "a tag that switches a comparison off": (
        code(
            (
                "```{code-cell} ipython3\npriors = dict(",
                "```{code-cell} ipython3\n:tags: [nbval-ignore-output, prints-times]\n\npriors = dict(",
            )
        ),
        TAGS,
    ),
    "one sampler's row from another's run": (
        code(('(first, "NUTS"): row(nuts,', '(first, "NUTS"): row(trace,')),
        OUT + "test_each_sampler_s_row_is_of_its_own_run",
    ),
    "a tenth of the draws": (
        code(("draws=20_000, tune=5_000", "draws=2_000, tune=5_000")),
        OUT + "test_the_run_is_the_specified_one",
    ),
    "chains left untuned": (
        code(("cores=chains,  #", "cores=1,  #")),
        OUT + "test_converged",
    ),
    # prose and packages
    "a number of the prose": (
        code(("the velocities of 82 galaxies", "the velocities of 83 galaxies")),
        NUMBERS,
    ),
    "a number that no cell prints": (
        code(("took 53 minutes for two", "took 35 minutes for two")),
        SOURCES,
    ),
    "a number without a source": (
        code(("Shaded bands hold", "All 7 shaded bands hold")),
        SOURCES,
    ),
    "a formula": (
        code(("\\frac{k!}{(k - k_+)!}", "\\frac{k!}{k_+!}")),
        SOURCES,
    ),
    "a group that lies elsewhere": (
        code(("and a fast group near 33", "and a fast group near 35")),
        PROSE + "test_numbers_of_the_runs",
    ),
    "a formula's number": (
        code(("\\operatorname{Normal}(0, 15)", "\\operatorname{Normal}(0, 10)")),
        SOURCES,
    ),
    "a wrong DOI": (
        text(
            MD,
            (
                "Vehtari et al. 2021](https://doi.org/10.1214/20-BA1221)",
                "Vehtari et al. 2021](https://doi.org/10.1214/20-BA1212)",
            ),
        ),
        DOIS,
    ),
    "a dependency unpinned in the lock": (
        text("requirements.txt", ("\nnumpy==1.22.1 \\", "\nnumpy \\")),
        LOCK,
    ),
    "a dependency unpinned at the source": (
        text("requirements.in", ("pymc3==3.11.6", "pymc3")),
        LOCK,
    ),
    "a requirement that is not locked": (
        text("requirements.in", ("pre-commit\n", "pre-commit\nnbdime\n")),
        LOCK,
    ),
    "the pair replaced though a cell raises": (
        text(
            "run.py", ("    if stopped:\n        dead", "    if False:\n        dead")
        ),
        "tests/test_bad_day.py::test_a_cell_that_raises",
    ),
}


def attempt(plant, tests):
    """Plant in a fresh copy and run the tests there: pytest's output and its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        generated = (".git", ".venv", ".uv", "build", "*_cache", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*generated))
        plant(copy)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--tb=short",
            "--color=no",
        ]
        command += ["-p", "no:cacheprovider", "-m", "not long", *tests]
        run = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        return run.stdout, run.returncode


def main(word=""):
    chosen = {name: mistake for name, mistake in MISTAKES.items() if word in name}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tests = sorted({test for _, test in chosen.values()})
        output, exit_code = attempt(lambda copy: None, tests)
        if exit_code:
            sys.exit(f"{output}\nThe tests fail without a mistake: mend that first.")
        print(f"without a mistake {len(tests)} tests pass\n", flush=True)

        results = pool.map(
            lambda mistake: attempt(mistake[0], [mistake[1]]), chosen.values()
        )
        survived = []
        for (name, (_, test)), (output, exit_code) in zip(chosen.items(), results):
            message = (
                " ".join(re.findall(r"^(?:E +|FAILED )(.*)$", output, flags=re.M))
                or output[-500:]
            )
            caught = exit_code == 1 and f"FAILED {test}" in output
            survived += [] if caught else [name]
            print(
                f"{'caught  ' if caught else 'SURVIVED'}  {name:45}  {test.split('::')[-1]}"
            )
            print(f"{'':12}{message[:140]}", flush=True)
    print(f"\n{len(chosen) - len(survived)} of {len(chosen)} mistakes caught")
    if survived:
        sys.exit(f"survived: {', '.join(survived)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
