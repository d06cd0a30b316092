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


def in_file(file, *texts):
    """Replace every other text, which stands in one place of `file`, by the next."""

    def plant(copy):
        content = (copy / file).read_text(encoding="utf-8")
        for old, new in zip(texts[::2], texts[1::2]):
            assert content.count(old) == 1, (
                f"{content.count(old)} times in {file}: {old}"
            )
            content = content.replace(old, new)
        (copy / file).write_text(content, encoding="utf-8")

    return plant


def in_pair(*texts):
    """Replace texts likewise in both files of the pair, so that they stay in step."""

    def plant(copy):
        in_file(MD, *texts)(copy)
        notebook = jupytext.read(copy / MD)
        with_outputs = nbformat.read(copy / IPYNB, as_version=4)
        for cell, changed in zip(with_outputs.cells, notebook.cells):
            cell.source = changed.source
            cell.metadata = changed.metadata
        nbformat.write(with_outputs, copy / IPYNB)

    return plant


def in_stored_notebook(change):
    """Change the stored notebook by `change(notebook)`."""

    def plant(copy):
        notebook = nbformat.read(copy / IPYNB, as_version=4)
        change(notebook)
        nbformat.write(notebook, copy / IPYNB)

    return plant


def in_output(name, kind, edit):
    """Change what the cell that defines `name` shows by `edit`."""

    def change(notebook):
        for out in cell_that_defines(name, notebook.cells).outputs:
            data = out if kind == "text" else out.get("data", {})
            if kind in data:
                data[kind] = edit(data[kind])
                return
        raise LookupError(f"no {kind} of the cell that defines {name}")

    return in_stored_notebook(change)


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


SWAPPED = (
    "v = rng.integers(0, k, ndata)\ndata = centers[v] + rng.standard_normal(ndata)",
    "noise = rng.standard_normal(ndata)\nv = rng.integers(0, k, ndata)\ndata = centers[v] + noise",
)

MISTAKES = {
    "test_model.py::test_data_are_the_specified_ones": {
        "another seed": in_pair("RANDOM_SEED = 8927", "RANDOM_SEED = 8928"),
        "the two random draws swapped": in_pair(*SWAPPED),
    },
    "test_model.py::test_log_probability_of_the_mixture": {
        "ordering potential turned round": in_pair(
            "tt.any(means[1:] < means", "tt.any(means[1:] > means"
        ),
        "minimum weight forgotten": in_pair(
            "tt.min(p) >= min_weight", "tt.min(p) >= 0"
        ),
        "center of the means forgotten": in_pair(
            '"means", priors["center"], ', '"means", 0, '
        ),
    },
    "test_model.py::test_model_has_the_specified_variables": {
        "sd of each cluster": in_pair(
            'upper=priors["widest"])',
            'upper=priors["widest"], dims="cluster")',
            "means[category], sd, obs",
            "means[category], sd[category], obs",
        ),
    },
    "test_model.py::test_log_probability_of_the_marginal_model": {
        "marginal model: sd under 2": in_pair(
            'sd = pm.Uniform("sd", lower=0, upper=widest, testval=narrow)',
            'sd = pm.Uniform("sd", lower=0, upper=widest / 10, testval=widest / 20)',
        ),
        "marginal model: prior of twos": in_pair(
            'pm.Dirichlet("rest", a=np.ones(k)', 'pm.Dirichlet("rest", a=2 * np.ones(k)'
        ),
        "marginal model: prior of beta": in_pair(
            "alpha=0.2, beta=10", "alpha=0.2, beta=1"
        ),
        "marginal model: weights forgotten": in_pair(
            "log_terms = tt.log(p) + pm.Normal", "log_terms = 0 * tt.log(p) + pm.Normal"
        ),
    },
    "test_model.py::test_as_many_clusters_as_the_smallest_weight_allows": {
        "k = 9 refused": in_pair("k * min_weight >= 1:", "k * min_weight >= 0.9:"),
    },
    "test_model.py::test_impossible_numbers_of_clusters_are_refused": {
        "k = 10 accepted": in_pair("k * min_weight >= 1:", "k * min_weight > 1:"),
    },
    "test_model.py::test_bad_columns_are_refused": {
        "missing values let through": in_pair("    if bad.size:\n", "    if False:\n"),
        "text that looks like numbers taken": in_pair(
            "if not number or types", "if False and types"
        ),
    },
    "test_step_method.py::test_transition_probabilities": {
        "category's prior forgotten in the step": in_pair(
            "terms = [rv for rv in model.basic_RVs if category in",
            "terms = [rv for rv in model.observed_RVs if category in",
        ),
        "proposals from all k categories": in_pair(
            "randint(1, k, q0.size)", "randint(0, k, q0.size)"
        ),
        "acceptance ratio inverted": in_pair(
            "sum(log_terms(proposal)) - sum(log_terms(q0))",
            "sum(log_terms(q0)) - sum(log_terms(proposal))",
        ),
    },
    "test_step_method.py::test_points_move_independently": {
        "one uniform number for all points": in_pair(
            "np.random.uniform(size=q0.size)", "np.random.uniform()"
        ),
    },
    "test_step_method.py::test_refuses_dependent_categories": {
        "guard of the step that sees nothing": in_pair(
            "    if not independent:\n", "    if False:\n"
        ),
        "guard of the step without potentials": in_pair(
            "[term for term in model.potentials if category",
            "[term for term in [] if category",
        ),
        "guard that looks at the test point alone": in_pair(
            "0.1 * rng.standard_normal(value.shape) if", "0 * value if"
        ),
    },
    "test_gibbs.py::test_one_sweep_leaves_the_joint_law_as_it_is": {
        "Gibbs: weights' prior of twos": in_pair(
            "standard_gamma(run.alpha[number - 1, None] + count)",
            "standard_gamma(1 + run.alpha[number - 1, None] + count)",
        ),
        "Gibbs: center of the means forgotten": in_pair(
            "(total / sd**2 + center / scale**2) / prec", "total / sd**2 / prec"
        ),
        "Gibbs: shape n / 2 of the width": in_pair(
            "count.sum(axis=1, keepdims=True) - 1) / 2",
            "count.sum(axis=1, keepdims=True)) / 2",
        ),
        "Gibbs: own width's shape off by a half": in_pair(
            "standard_gamma(2 + count / 2)", "standard_gamma(2.5 + count / 2)"
        ),
        "Gibbs: beta from empty clusters too": in_pair(
            "rng.standard_gamma(0.2 + 2 * filled)", "rng.standard_gamma(0.2 + 2 * k)"
        ),
        "Gibbs: width from the means before": in_pair(
            "            squares = np.maximum(square - 2 * means * total + count * means**2, 0)",
            "            squares = np.maximum(square - total**2 / np.maximum(count, 1), 0)",
        ),
        "number: labels not counted": in_pair(
            "names += gammaln(k + 1) - gammaln(np",
            "names += 0 * gammaln(k + 1) - gammaln(np",
        ),
    },
    "test_gibbs.py::test_a_number_that_stands_still_is_not_trusted": {
        "verdict that trusts chains that never moved": in_pair(
            "if not (r_hat <= 1.01 and ess >= 100 * len(drawn))",
            "if r_hat > 1.01 or ess < 100 * len(drawn)",
        ),
    },
    "test_after_sampling.py::test_log_components_are_the_marginal_likelihood": {
        "membership without the weights": in_pair(
            "return np.log(p) - np.log(sd *", "return 0 * np.log(p) - np.log(sd *"
        ),
    },
    "test_gibbs.py::test_bad_arguments_are_refused_in_a_sentence": {
        "many equal values let through": in_pair(
            "refuse(too_many, tied)", "refuse(times >= 600, tied)"
        ),
    },
    "test_gibbs.py::test_ties_are_too_many_if_the_integral_is_infinite": {
        "ties on one value alone": in_pair("[: k - 1].sum()", "[:1].sum()"),
        "noise as wide as the smallest step": in_pair(
            "steps[frequent.argmax()]", "steps.min()"
        ),
    },
    "test_gibbs.py::test_equal_values_short_of_the_limit": {
        "widths of nothing": in_pair(
            "np.sqrt(np.minimum(inverse, 1e12))", "np.sqrt(inverse)"
        ),
    },
    "test_gibbs.py::test_own_column": {
        "rounding left in a column": in_pair(
            "    if not too_many:\n", "    if times < 6_000:\n"
        ),
    },
    "test_gibbs.py::test_the_number_s_factors_are_the_formula": {
        "number: three digits": in_pair(
            "np.log(1.0 * (k >= occupied))", "np.log(k >= occupied)"
        ),
        "number: product over all clusters": in_pair(
            "+ alpha) - gammaln(alpha)\n", "+ alpha + 1) - gammaln(alpha)\n"
        ),
    },
    "test_after_sampling.py::test_membership_is_bayes_rule": {
        "membership of the first draws": in_pair(
            'np.linspace(0, drawn.sizes["sample"] - 1, most)',
            "np.linspace(0, most - 1, most)",
        ),
    },
    "test_bad_day.py::test_a_killed_kernel_takes_its_sampling_processes_along": {
        "worker processes that outlive the kernel": in_pair(
            "        os._exit(1)\n", "        pass\n"
        ),
    },
    "test_notebook.py::test_outputs_belong_to_their_code": {
        "a cell edited, with its old outputs": in_pair(
            'bins=40, color="0.5")\nax.set(', 'bins=20, color="0.5")\nax.set('
        ),
        "outputs without a mark": in_stored_notebook(forget_marks),
    },
    "test_notebook.py::test_pair_is_in_step": {
        "a cell edited in the .md alone": in_file(
            MD, 'bins=40, color="0.5")\nax.set(', 'bins=20, color="0.5")\nax.set('
        ),
    },
    "test_outputs.py::test_outputs_are_the_stored_ones": {
        "a printed number edited by hand": in_output(
            "ndata", "text", lambda x: x.replace("182", "181")
        ),
        "a table edited by hand": in_output(
            "hits", "text/html", lambda x: x.replace("<td>", "<td>1", 1)
        ),
        "a figure without its line": in_output("agreement", "image/png", faint),
    },
    "test_outputs.py::test_new_values_are_evidence_themselves": {
        "membership of new values as of the data": in_pair(
            "at_x = component.mean(axis=0) / component.sum(axis=1).mean(axis=0)",
            "at_x = (component / component.sum(axis=1, keepdims=True)).mean(axis=0)",
        ),
    },
    "test_outputs.py::test_autocorrelation_is_of_the_variables_in_their_titles": {
        "a figure of sd that draws means": in_pair(
            '(trace.posterior["sd"], slow)', "(slow, slow)"
        ),
    },
    "test_outputs.py::test_labels_switch_in_one_chain_and_not_sorted": {
        "labels sorted within a variable": in_pair(
            "by_mean, axis=2)", "0 * by_mean, axis=2)"
        ),
    },
    "test_notebook.py::test_outputs_come_from_one_clean_run": {
        "an output names a path": in_output(
            "ndata", "text", lambda x: x + "/home/somebody/tutorial\n"
        ),
    },
    "test_notebook.py::test_thumbnail_is_the_notebook_s_own_figure": {
        "a picture that is not the notebook's": in_stored_notebook(other_figure),
    },
    "test_notebook.py::test_each_output_that_is_not_compared_has_a_reason": {
        "a tag that switches a comparison off": in_pair(
            "```{code-cell} ipython3\npriors = dict(",
            "```{code-cell} ipython3\n:tags: [nbval-ignore-output, prints-times]\n\npriors = dict(",
        ),
    },
    "test_outputs.py::test_each_sampler_s_row_is_of_its_own_run": {
        "one sampler's row from another's run": in_pair(
            '(first, "NUTS"): row(nuts,', '(first, "NUTS"): row(trace,'
        ),
    },
    "test_outputs.py::test_the_run_is_the_specified_one": {
        "a tenth of the draws": in_pair(
            "draws=20_000, tune=5_000", "draws=2_000, tune=5_000"
        ),
    },
    "test_outputs.py::test_converged": {
        "chains left untuned": in_pair("cores=chains,  #", "cores=1,  #"),
    },
    "test_prose.py::test_numbers_of_the_code": {
        "a number of the prose": in_pair(
            "the velocities of 82 galaxies", "the velocities of 83 galaxies"
        ),
    },
    "test_prose.py::test_every_number_and_formula_has_a_source": {
        "a number that no cell prints": in_pair(
            "took 53 minutes for two", "took 35 minutes for two"
        ),
        "a number without a source": in_pair(
            "Shaded bands hold", "All 7 shaded bands hold"
        ),
        "a formula": in_pair("\\frac{k!}{(k - k_+)!}", "\\frac{k!}{k_+!}"),
        "a formula's number": in_pair(
            "\\operatorname{Normal}(0, 15)", "\\operatorname{Normal}(0, 10)"
        ),
    },
    "test_prose.py::test_numbers_of_the_runs": {
        "a group that lies elsewhere": in_pair(
            "and a fast group near 33", "and a fast group near 35"
        ),
    },
    "test_prose.py::test_every_citation_stands_in_further_reading": {
        "a wrong DOI": in_file(
            MD,
            "Vehtari et al. 2021](https://doi.org/10.1214/20-BA1221)",
            "Vehtari et al. 2021](https://doi.org/10.1214/20-BA1212)",
        ),
    },
    "test_notebook.py::test_lock_is_in_step_with_the_requirements": {
        "a dependency unpinned in the lock": in_file(
            "requirements.txt", "\nnumpy==1.22.1 \\", "\nnumpy \\"
        ),
        "a dependency unpinned at the source": in_file(
            "requirements.in", "pymc3==3.11.6", "pymc3"
        ),
        "a requirement that is not locked": in_file(
            "requirements.in", "pre-commit\n", "pre-commit\nnbdime\n"
        ),
        "an ipykernel that loses requests": in_file(
            "requirements.in", "ipykernel<7", "ipykernel"
        ),
    },
    "test_notebook.py::test_every_test_is_run_by_one_of_the_commands": {
        "testpaths without the outputs": in_file(
            "pyproject.toml",
            'testpaths = ["tests"]',
            'testpaths = ["tests/test_model.py", "tests/test_notebook.py"]',
        ),
    },
    "test_after_sampling.py::test_replicates_follow_the_draws": {
        "replicates of the first draws": in_pair(
            "for i in rng.choice(len(p), count):", "for i in range(count // 8):"
        ),
        "replicates of one width": in_pair(
            "width = sd[i][category] if", "width = sd[i][0] if"
        ),
    },
    "test_after_sampling.py::test_replicates_are_compared_with_the_data": {
        "a verdict on one side only": in_pair(
            "low <= measure(data) <= high]", "measure(data) <= high]"
        ),
    },
    "test_after_sampling.py::test_curves_are_the_densities": {
        "curves of one draw": in_pair(
            "ax.plot(x, curve.mean(axis=0), label=label",
            "ax.plot(x, curve[0], label=label",
        ),
    },
    "test_after_sampling.py::test_one_bad_variable_is_enough_for_no": {
        "verdict by the mean R-hat": in_pair(
            'checks["r_hat"].max(skipna=False)', 'checks["r_hat"].mean()'
        ),
        "verdict that takes an R-hat of 1.05": in_pair(
            "passed = r_hat <= 1.01", "passed = r_hat <= 1.05"
        ),
    },
    "test_bad_day.py::test_a_cell_that_raises": {
        "the pair replaced though a cell raises": in_file(
            "run.py", "    if stopped:\n        dead", "    if False:\n        dead"
        ),
    },
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
    chosen = [
        (name, plant, f"tests/{test}")
        for test, mistakes in MISTAKES.items()
        for name, plant in mistakes.items()
        if word in name
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tests = sorted({test for *_, test in chosen})
        output, exit_code = attempt(lambda copy: None, tests)
        if exit_code:
            sys.exit(f"{output}\nThe tests fail without a mistake: mend that first.")
        print(f"without a mistake {len(tests)} tests pass\n", flush=True)

        results = pool.map(lambda mistake: attempt(mistake[1], [mistake[2]]), chosen)
        survived = []
        for (name, _, test), (output, exit_code) in zip(chosen, results):
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
