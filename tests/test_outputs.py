"""The stored outputs are what the notebook gives: one execution, compared cell by cell."""

import ast
import base64
import io
import re

import arviz as az
import numpy as np
import pytest
from conftest import cell_that_defines, code_cells, parsed, tags
from PIL import Image

CELLS = code_cells()
NAMES = [re.sub(r"\W+", " ", cell.source).strip()[:40] for cell in CELLS]
BLOCK, FAINT = 16, 0.03  # pixels; share of the range from black to white


def pixels(png):
    return (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")) / 255
    )


def distance(a, b):
    """Of two figures: the largest difference between their averages over a block.

    The last digits of a number move a line by less than a pixel, which a block of
    16 × 16 hardly shows; another line, text or bar it shows plainly. Figures whose
    sides differ by more than a block are infinitely far apart.
    """
    a, b = pixels(a), pixels(b)
    if max(abs(np.subtract(a.shape, b.shape))) > BLOCK:
        return np.inf
    rows, columns = (min(sides) // BLOCK for sides in zip(a.shape, b.shape[:2]))
    blocks = (
        x[: rows * BLOCK, : columns * BLOCK]
        .reshape(rows, BLOCK, columns, BLOCK, 3)
        .mean(axis=(1, 3))
        for x in (a, b)
    )
    return abs(np.subtract(*blocks)).max()


def said(cell):
    """What a cell's outputs say, in order: (kind, text) without figures' pixels.

    Left out are progress bars, which a slower machine shows and a faster one does not.
    """
    found = []
    for out in cell.outputs:
        if out.output_type == "stream":
            found.append((out.name, out.text))
            continue
        assert out.output_type in ("display_data", "execute_result"), out
        html = out.data.get("text/html", "")
        if "text/html" in out.data and ("<progress" in html or not html.strip()):
            continue
        if "progress-bar-interrupted" in html:
            continue  # the bar's style sheet
        if "image/png" in out.data:
            found.append(("figure", ""))
        elif html:
            found.append(("table", html))
        else:
            found.append((out.output_type, out.data["text/plain"]))
    return found


def figures(cell):
    data = (out.get("data", {}) for out in cell.outputs)
    return [one["image/png"] for one in data if "image/png" in one]


def without_numbers(found):
    """Numbers, and the blanks that align them, made alike: what stays is the shape."""
    return [
        (kind, re.sub(r"[\s-]+", " ", re.sub(r"\d[\d.,_]*", "0", text)))
        for kind, text in found
    ]


@pytest.fixture(scope="session")
def pairs(executed, stored):
    """Each code cell as executed now and as stored."""
    now, then = (
        [cell for cell in notebook.cells if cell.cell_type == "code"]
        for notebook in (executed.notebook, stored)
    )
    assert [a.source for a in now] == [b.source for b in then], "run `make pair`"
    return list(zip(now, then))


@pytest.mark.parametrize("number", range(len(CELLS)), ids=NAMES)
def test_outputs_are_the_stored_ones(pairs, number):
    now, then = pairs[number]
    a, b = said(now), said(then)
    if "nbval-ignore-output" in tags(now):
        a, b = without_numbers(a), without_numbers(b)
    assert a == b
    for one, other in zip(figures(now), figures(then)):
        far = distance(one, other)
        assert far < FAINT, f"another figure than the stored one: {far:.2f} apart"


def test_figures_are_told_apart(stored):
    """Not by a line that moves by a third of a pixel, but by a line that is missing."""
    (png,) = figures(cell_that_defines("replicate", stored.cells))
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")

    def far(changed):
        file = io.BytesIO()
        changed.save(file, "png")
        return distance(png, base64.b64encode(file.getvalue()))

    third = image.transform(
        image.size, Image.AFFINE, (1, 0, 0.3, 0, 1, 0), Image.BICUBIC
    )
    assert far(third) < FAINT
    without = np.asarray(image).copy()
    black = (without < 60).all(axis=2)
    without[: len(black) * 3 // 4][black[: len(black) * 3 // 4]] = 255
    assert far(Image.fromarray(without)) > FAINT


def test_new_values_are_evidence_themselves(executed):
    """Figure 6's curves: means of p_j Normal_j(x) over the mean of their sum."""
    terms = np.exp(executed.evaluate("log_components(x, trace)"))
    expected = terms.mean(axis=0) / terms.mean(axis=0).sum(axis=0)
    at_x = executed.evaluate("at_x")
    np.testing.assert_allclose(at_x, expected, rtol=1e-6)
    assert (
        np.abs((terms / terms.sum(axis=1, keepdims=True)).mean(0) - at_x).max() > 1e-4
    )


def drawn(executed, name, axes="axes"):
    """Title and lines of each of the axes that the cell leaves, executed once more."""
    executed.run(ast.unparse(parsed(cell_that_defines(name))))
    lines = "[line.get_ydata() for line in ax.lines]"
    return executed.evaluate(f"[(ax.get_title(), {lines}) for ax in np.ravel({axes})]")


def test_traces_are_of_the_variables_in_their_titles(executed):
    for title, lines in drawn(executed, "summary")[1::2]:
        values = executed.evaluate(f"trace.posterior['{title}'].values")
        chains, draws = values.shape[:2]
        values = values.reshape(chains, draws, -1).swapaxes(1, 2).reshape(-1, draws)
        assert {x.tobytes() for x in lines} == {x.tobytes() for x in values}, title


def test_autocorrelation_is_of_the_variables_in_their_titles(executed):
    found = drawn(executed, "slowest")
    assert [title for title, _ in found] == ["sd", executed.evaluate("slowest")]
    for title, lines in found:
        name, _, which = title.rstrip("]").partition("[")
        values = executed.evaluate(f"trace.posterior['{name}'].values")
        values = values[..., int(which)] if which else values
        assert len(lines) >= 2
        for line, chain in zip(lines, values):
            np.testing.assert_allclose(line, az.autocorr(chain)[:200], err_msg=title)


def test_labels_switch_in_one_chain_and_not_sorted(executed):
    (_, as_drawn), (_, in_order) = drawn(executed, "naming", "[middle, right]")
    means = executed.evaluate("switching.posterior['means'][0].values")
    means = means[: len(as_drawn[0])]
    np.testing.assert_array_equal(np.transpose(as_drawn), means)
    np.testing.assert_array_equal(np.transpose(in_order), np.sort(means, axis=1))
    assert (np.diff(means, axis=1) < 0).any(axis=1).mean() > 0.2


def test_converged(executed):
    summary = executed.evaluate("summary")
    names = ["p[0]", "p[1]", "p[2]", "sd", "means[0]", "means[1]", "means[2]"]
    assert summary.index.tolist() == names
    assert summary["r_hat"].max() <= 1.01
    assert summary[["ess_bulk", "ess_tail"]].to_numpy().min() >= 2000
    inside = summary["true"].between(summary["hdi_3%"], summary["hdi_97%"])
    assert inside.sum() >= 6, f"truth outside its interval:\n{summary[~inside]}"


def test_probabilities_are_worth_their_name(executed):
    """As many of the likeliest clusters are right as their probabilities promise."""
    hits, of_cluster = executed.evaluate("hits"), executed.evaluate("of_cluster")
    assert hits["points"].sum() == len(of_cluster)
    best = of_cluster.max(axis=1)
    right = executed.evaluate("(likely == true_cluster).sum()")
    assert hits["right"].sum() == right
    assert abs(right - best.sum()) < 4 * np.sqrt((best * (1 - best)).sum())


def test_the_run_is_the_specified_one(executed):
    sizes = {
        name: executed.evaluate(f"dict({name}.posterior.sizes)")
        for name in ("trace", "nuts", "fit")
    }
    assert sizes["trace"]["chain"] == 4 and sizes["trace"]["draw"] == 20_000
    assert executed.evaluate("[s.name for s in steps[0].methods]") == ["metropolis"] * 3
    assert executed.evaluate("trace.posterior.attrs['tuning_steps']") == 5_000
    assert executed.evaluate("[settings[x] for x in ('random_seed', 'cores')]") == [
        8927,
        4,
    ]


def test_each_sampler_s_row_is_of_its_own_run(executed):
    """Draws, R-hat and effective size of the table, from the runs in the kernel."""
    shown = executed.evaluate("costs")
    runs = ["trace", "nuts", "fit", "nearer_trace", "nearer_nuts", "nearer_fit"]
    assert [name[-1] for name in shown] == ["Metropolis", "NUTS", "Gibbs"] * 2
    for run, (name, row) in zip(runs, shown.items()):
        draws, processes, _, ess, _, r_hat, divergences, off, verdict = row
        expected = executed.evaluate(f"convergence({run})")
        assert verdict == expected[2] and r_hat == f"{expected[0]:.3f}", name
        size = expected[1]  # the page shows three digits of those below 100
        assert ess == (f"{size:,.0f}" if size >= 100 else f"{size:.3g}"), name
        sizes = executed.evaluate(f"{run}.posterior['sd'].size")
        assert draws == f"{sizes:,}" and processes == ("1" if "fit" in run else "4")
        assert float(off) < 4, name
        assert verdict == "converged", name
        if "nuts" in run:
            diverging = executed.evaluate(f"{run}.sample_stats['diverging'].sum()")
            assert divergences == diverging, name
