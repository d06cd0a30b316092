"""Plant mistakes in a copy of the repository, one at a time, and say which test catches each: `make mistakes`.

Each mistake names the test that should catch it, and only that one is run. It counts as caught if the test fails,
and as survived if it passes or cannot run. The tests pass on a copy without a mistake: that is tried first.
`python tests/planted_mistakes.py WORD` plants only those whose name contains WORD.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbformat
from conftest import replaced
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
MD, IPYNB = "gaussian_mixture_model.md", "gaussian_mixture_model.ipynb"


def text(file, old, new):
    """Replace `old`, which stands in one place of `file`."""

    def plant(copy):
        content = (copy / file).read_text(encoding="utf-8")
        (copy / file).write_text(replaced(content, {old: new}, file), encoding="utf-8")

    return plant


def code(*changes):
    """Replace code in both files of the pair, so that they stay in step."""

    def plant(copy):
        for old, new in changes:
            text(MD, old, new)(copy)
        notebook = jupytext.read(copy / MD)
        with_outputs = nbformat.read(copy / IPYNB, as_version=4)
        for cell, changed in zip(with_outputs.cells, notebook.cells):
            cell.source = changed.source
        nbformat.write(with_outputs, copy / IPYNB)

    return plant


def stored(change, upto):
    """Change the stored notebook by `change(notebook, end)`: the cell before `end` is the one with `upto` in it."""

    def plant(copy):
        notebook = nbformat.read(copy / IPYNB, as_version=4)
        places = (i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and upto in cell.source)
        change(notebook, next(places) + 1)
        nbformat.write(notebook, copy / IPYNB)

    return plant


def both(*plants):
    def plant(copy):
        for one in plants:
            one(copy)

    return plant


def cut(notebook, end):
    """Comparing the whole by execution takes minutes."""
    del notebook.cells[end:]


def execute(notebook, end):
    head = nbformat.v4.new_notebook(cells=notebook.cells[:end], metadata=notebook.metadata)
    NotebookClient(head, timeout=None).execute()


def add_a_hundredth(notebook, end):
    """To the posterior mean of p[0] in the summary: after the row's name comes the truth, then the mean."""
    html = next(out for out in notebook.cells[end - 1].outputs if "text/html" in out.get("data", {})).data
    row = r"(<th>p\[0\]</th>\s*<td>[^<]*</td>\s*<td>)([^<]*)"
    html["text/html"], count = re.subn(row, lambda m: f"{m[1]}{float(m[2]) + 0.01:.4f}", html["text/html"])
    assert count == 1


def say_a_path(notebook, end):
    notebook.cells[end - 1].outputs[0]["text"] += "/home/somebody/tutorial\n"


def another_count(notebook, end):
    stream = notebook.cells[end - 1].outputs[0]
    stream.text = replaced(stream.text, {"160 182 158": "160 181 158"}, IPYNB)


def empty(notebook, end):
    notebook.cells[end - 1].update(source="", outputs=[])


NB, STEP, POST = "tests/test_notebook.py::", "tests/test_step_method.py::", "tests/test_posterior.py::"
DENSITY, KERNEL = NB + "test_log_probability_is_the_specified_one", STEP + "test_transition_probabilities"
GEWEKE, LOCK = STEP + "test_conjugate_gibbs_gets_it_right", NB + "test_lock_is_in_step_with_the_requirements"
DATA, WHOLE = NB + "test_data_are_the_specified_ones", NB + "test_the_whole_is_run_as_specified"
SD_OF_EACH = [
    ("upper=widest, testval=narrow)", 'upper=widest, testval=narrow * np.ones(k), dims="cluster")'),
    ("sigma=sd, observed=data", "sigma=sd[category], observed=data"),
]
SWAPPED = (
    "v = rng.integers(0, k, ndata)\nsimulated = centers[v] + rng.standard_normal(ndata)",
    "noise = rng.standard_normal(ndata)\nv = rng.integers(0, k, ndata)\nsimulated = centers[v] + noise",
)
COUNTS = "np.bincount(v, minlength=k)"
WITH_CORES = "step=steps, chains=chains, cores=chains, **settings)"
GAMMA = "        p = random.standard_gamma(1 + count)\n        p /= p.sum()\n"
REDRAWN = "        p = np.zeros(k)\n        while p.min() < self.min_weight:\n" + textwrap.indent(GAMMA, "    ")
LOO = "log_likelihood = logsumexp(log_components(data, runs[j]), axis=1)"
LOO_CONDITIONAL = (
    'weights = runs[j].posterior["p"].values.reshape(-1, j, 1)\n'
    "        log_likelihood = (log_components(data, runs[j]) - np.log(weights)).max(axis=1)"
)

MISTAKES = {
    "prior of the means ten times too narrow": (code(("scale=15, widest", "scale=1.5, widest")), DENSITY),
    "ordering potential turned round": (code(("tt.any(means[1:] < means", "tt.any(means[1:] > means")), DENSITY),
    "minimum weight 0.01": (code(('min_weight=0.1):\n    """Mix', 'min_weight=0.01):\n    """Mix')), DENSITY),
    "sd of each cluster": (code(*SD_OF_EACH), NB + "test_model_has_the_specified_variables"),
    "category's prior forgotten in the step": (
        code(("if category in ancestors([rv.logpt])]", "if category in ancestors([rv.logpt]) and rv is not category]")),
        KERNEL,
    ),
    "proposals from all k categories": (code(("randint(1, k, q0.size)", "randint(0, k, q0.size)")), KERNEL),
    "acceptance ratio inverted": (
        code(("sum(log_terms(proposal)) - sum(log_terms(q0))", "sum(log_terms(q0)) - sum(log_terms(proposal))")),
        KERNEL,
    ),
    "one uniform number for all points": (
        code(("np.random.uniform(size=q0.size)", "np.random.uniform()")),
        STEP + "test_points_move_independently",
    ),
    "guard of the step taken out": (
        code(("        self._check_independence(model, category, log_terms, total)\n", "")),
        STEP + "test_refuses_dependent_categories",
    ),
    "chains left untuned, and their outputs stored": (
        both(code((WITH_CORES, WITH_CORES.replace("cores=chains", "cores=1"))), stored(execute, "worst_r_hat")),
        NB + "test_converged",
    ),
    "cores removed": (code((WITH_CORES, WITH_CORES.replace("cores=chains, ", ""))), WHOLE),
    "a tenth of the draws": (code(("draws=20_000, tune=5_000", "draws=2_000, tune=5_000")), WHOLE),
    "another seed": (code(("RANDOM_SEED = 8927", "RANDOM_SEED = 8928")), DATA),
    "the two random draws swapped": (code(SWAPPED), DATA),
    "a printed number edited by hand": (
        both(stored(another_count, COUNTS), stored(cut, COUNTS)),
        IPYNB,
    ),
    "a posterior mean edited by hand": (stored(add_a_hundredth, "worst_r_hat"), POST + "test_stored_summary"),
    "an output names a path": (
        stored(say_a_path, COUNTS),
        NB + "test_outputs_come_from_one_clean_run",
    ),
    "a cell edited in the .md alone": (text(MD, "bins=40, color", "bins=20, color"), NB + "test_pair_is_in_step"),
    "a cell edited in the .ipynb alone": (
        text(IPYNB, "ax.hist(data, bins=40, color=", "ax.hist(data, bins=20, color="),
        NB + "test_pair_is_in_step",
    ),
    "a figure's cell emptied": (
        stored(empty, "az.plot_autocorr(trace"),
        NB + "test_every_figure_has_alternative_text_and_a_caption",
    ),
    "a dependency unpinned in the lock": (text("requirements.txt", "\nnumpy==1.22.1 \\", "\nnumpy \\"), LOCK),
    "a dependency unpinned at the source": (text("requirements.in", "pymc3==3.11.6", "pymc3"), LOCK),
    "truncated weights drawn again instead of kept": (
        code((GAMMA, REDRAWN)),
        STEP + "test_draws_that_do_not_fit_are_not_drawn_again",
    ),
    "conjugate Gibbs: weights' prior of twos": (
        code(("standard_gamma(1 + count)", "standard_gamma(2 + count)")),
        GEWEKE,
    ),
    "conjugate Gibbs: center of the means forgotten": (
        code(("(total / sd**2 + self.center / self.scale**2) / prec", "total / sd**2 / prec")),
        GEWEKE,
    ),
    "conjugate Gibbs: shape n / 2 of the width": (
        code(("standard_gamma((y.size - 1) / 2)", "standard_gamma(y.size / 2)")),
        GEWEKE,
    ),
    "NUTS: prior of the means ten times too narrow": (
        code(("mu=0, sigma=15, testval=start, transform", "mu=0, sigma=1.5, testval=start, transform")),
        POST + "test_sampler[NUTS]",
    ),
    "membership without the weights": (
        code(("return np.log(p) - np.log(sd *", "return 0 * np.log(p) - np.log(sd *")),
        STEP + "test_log_components_are_the_marginal_likelihood",
    ),
    "leave-one-out of the conditional likelihood": (code((LOO, LOO_CONDITIONAL)), POST + "test_leave_one_out"),
    "missing values let through": (
        code(("    if not np.isfinite(values).all():\n", "    if False:\n")),
        NB + "test_bad_data_are_refused",
    ),
}


def attempt(plant, tests):
    """Plant in a fresh copy and run the tests there: the output of pytest and its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        generated = shutil.ignore_patterns(".git", ".venv", ".uv", "build", "node_modules", "*_cache", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=generated)
        plant(copy)
        pytest = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--tb=short",
            "--color=no",
            "-p",
            "no:cacheprovider",
            *tests,
        ]
        run = subprocess.run(pytest, cwd=copy, capture_output=True, text=True)
        return run.stdout, run.returncode


def main(word=""):
    chosen = {name: mistake for name, mistake in MISTAKES.items() if word in name}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tests = sorted({test for _, test in chosen.values() if test != IPYNB})
        controls = [pool.submit(attempt, lambda copy: None, tests)] if tests else []
        controls.append(pool.submit(attempt, stored(cut, COUNTS), [IPYNB]))
        for control in controls:
            output, exit_code = control.result()
            if exit_code:
                sys.exit(f"{output}\nThe tests fail without a mistake: mend that first.")
        print(f"without a mistake {len(tests) + 1} tests pass\n", flush=True)

        results = pool.map(lambda mistake: attempt(mistake[0], [mistake[1]]), chosen.values())
        survived = []
        for (name, (_, test)), (output, exit_code) in zip(chosen.items(), results):
            message = " ".join(re.findall(r"^(?:E +|FAILED )(.*)$", output, flags=re.M)) or output[-500:]
            caught = exit_code == 1 and f"FAILED {test}" in output
            survived += [] if caught else [name]
            print(f"{'caught  ' if caught else 'SURVIVED'}  {name:50}  {test.split('::')[-1]}")
            print(f"{'':12}{message[:140]}", flush=True)
    print(f"\n{len(chosen) - len(survived)} of {len(chosen)} mistakes caught")
    if survived:
        sys.exit(f"survived: {', '.join(survived)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
