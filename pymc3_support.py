"""PyMC3 and Theano made ready for a notebook, and the guard of its vectorized step.

Import it before PyMC3. It looks for the compiler that Theano needs, silences notices
that a reader can do nothing about, imports PyMC3 and mends some of its ways. No other
module knows PyMC3 (3.11.6) and Theano (Theano-PyMC 1.1.2).
"""

# ruff: noqa: E402
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import warnings
from contextlib import suppress
from multiprocessing.util import register_after_fork
from pathlib import Path

HEADERS = (  # with which each module of Theano begins
    "Python.h", "iostream", "theano_mod_helper.h", "math.h", "numpy/arrayobject.h",
    "numpy/arrayscalars.h", "vector", "algorithm",
)  # fmt: skip
HOW_TO_INSTALL = (
    "PyMC3 needs a C++ compiler and Python's header files. Debian and Ubuntu: "
    "`sudo apt install g++ python3-dev`; macOS: `xcode-select --install`; "
    "Windows: `conda install -c conda-forge m2w64-toolchain libpython`. "
    "Then restart the kernel."
)
headers = Path(sysconfig.get_path("include"), "Python.h")
if not (shutil.which("g++") or shutil.which("clang++")) or not headers.exists():
    raise RuntimeError(HOW_TO_INSTALL)
imported = {name.partition(".")[0] for name in sys.modules}
if "pymc3" not in sys.modules and imported & {"pymc3", "theano"}:
    raise RuntimeError("PyMC3 was imported only in part: restart the kernel.")

# PyMC3 says at each import and each run that it has a successor; Theano, that it found
# no separate linear algebra library, which the tutorial does not need.
logging.getLogger("pymc3").addFilter(lambda record: "outdated" not in str(record.msg))
logging.getLogger("theano.tensor.blas").setLevel(logging.ERROR)
for notice in ("Call to deprecated", "overflow"):
    warnings.filterwarnings("ignore", notice)
warnings.filterwarnings("ignore", "More chains")  # than draws, where draws are counted

import dill
import numpy as np
import pymc3 as pm
import theano
import theano.tensor as tt
from pymc3.step_methods import metropolis
from theano.compile.ops import DeepCopyOp
from theano.graph import op as theano_op
from theano.graph.basic import ancestors, io_toposort
from theano.link.c.basic import CLinker
from theano.link.c.cmodule import std_include_dirs
from theano.tensor.basic import Alloc, ScalarFromTensor
from theano.tensor.elemwise import DimShuffle, Elemwise, Sum
from theano.tensor.nnet.nnet import Softmax
from theano.tensor.opt import constant_folding
from theano.tensor.subtensor import AdvancedSubtensor, AdvancedSubtensor1

if not theano.config.cxx:  # the user's own Theano settings can switch the compiler off
    raise RuntimeError(HOW_TO_INSTALL)
theano.config.allow_gc = False  # to keep memory between calls saves a tenth of them
dill.settings["recurse"] = True  # send a step method with the names that it uses


def in_python(evaluate):
    """A function of Theano that evaluates part of a graph, with no C++ made for it."""

    def evaluated(*arguments):
        with theano.config.change_flags(cxx=""), np.errstate(all="ignore"):
            return evaluate(*arguments)

    return evaluated


# The test value of each new node, as PyMC3 wants it, and the value of what is constant:
# to compile for each of them would take minutes more of the tutorial's first run.
theano_op.compute_test_value = in_python(theano_op.compute_test_value)
constant_folding.fn = in_python(constant_folding.fn)


# Theano takes empty properties for a missing version, and gives `DimShuffle` a version
# that is another in each process: it would compile them anew though they are cached.
for operation in (AdvancedSubtensor1, Alloc, DeepCopyOp, ScalarFromTensor, Softmax):
    del operation.__props__
DimShuffle.c_code_cache_version = lambda operation: (1,)


def with_headers_read(linker, compile_args=CLinker.compile_args):
    """Arguments of g++ with which it reads the headers once and not for every module.

    In place of `CLinker.compile_args`: half of the time of a small module is reading.
    Source: "Using Precompiled Headers" in the manual of GCC.
    """
    given, name = compile_args(linker), f"headers_with_numpy_{np.__version__}.h"
    header = Path(theano.config.compiledir, name)
    if not header.exists():
        header.write_text("".join(f"#include <{name}>\n" for name in HEADERS))
        new = header.with_suffix(f".{os.getpid()}")
        places = [f"-I{path}" for path in std_include_dirs()]
        command = [theano.config.cxx, "-g", *given, *places, "-x", "c++-header"]
        subprocess.run([*command, header, "-o", new], capture_output=True)
        with suppress(OSError):  # it failed: the text of the headers does as well
            new.replace(f"{header}.gch")
    return [*given, "-include", str(header)]


if sys.platform == "linux" and Path(theano.config.cxx).name == "g++":
    CLinker.compile_args = with_headers_read


def keep_all_chains(traces, tune):
    """What a stopped run keeps: as many draws as every chain has.

    In place of `pymc3.sampling._choose_chains`, which can leave out the first chain,
    and then all draws are lost. Raises ValueError if a chain has none after tuning.
    """
    length = min(map(len, traces))
    if length <= tune:
        raise ValueError("stopped before every chain was tuned: no draws were kept")
    return traces, length


pm.sampling._choose_chains = keep_all_chains


def delta_of_own_terms(logp, vars, shared, delta_logp=metropolis.delta_logp):
    """The log ratio of `Metropolis` from the terms that its variables enter.

    In place of `delta_logp`, which also evaluates all others, twice, which cancel.
    """
    terms = logp.owner.inputs[0].owner.inputs  # of `Model.logpt`: a vector's elements
    own = [term for term in terms if not set(vars).isdisjoint(ancestors([term]))]
    return delta_logp(tt.add(*own), vars, shared)


metropolis.delta_logp = delta_of_own_terms
# To draw with an array of scales takes NumPy ten times as long; the draws are the same.
metropolis.NormalProposal.__call__ = lambda proposal: (
    proposal.s * np.random.standard_normal(proposal.s.shape)  # noqa: NPY002
)


def end_with_the_kernel(_):
    """In a process that samples: end when the kernel does, also when that is killed.

    It holds both ends of its pipe, so it would wait there for ever.
    """

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


register_after_fork(pm, end_with_the_kernel)


def independent_terms(vars, model):
    """The terms of the log-probability that the categories enter, one a point.

    vars : list of the one variable of categories, shape (n,)
    Returns Theano tensors of shape (n,), whose sum is the model's log-probability but
    for a constant. Raises ValueError unless their graphs show that the category of each
    point enters its own elements alone.
    """
    if len(vars) != 1:
        raise ValueError(
            f"One step takes one variable, not {len(vars)}: make a step for each."
        )
    (category,) = vars
    terms = []
    factors = [(rv.name, rv.logpt) for rv in model.basic_RVs]
    for name, term in factors + [(factor.name, factor) for factor in model.potentials]:
        if category not in ancestors([term]):
            continue
        while term.owner and isinstance(term.owner.op, Sum):  # the model sums the rest
            (term,) = term.owner.inputs
        if not one_a_point(term, category):
            raise ValueError(
                f"The categories of {category.name} cannot all be updated at once: as "
                f"it is written, {name} need not be a sum of one term a point with one "
                "category a term. Use pm.CategoricalGibbsMetropolis, which needs none, "
                "or compute it from the categories element by element."
            )
        terms.append(term.flatten())
    return terms


def one_a_point(term, category):
    """Whether each element of `term` is, by its graph, a function of one category.

    From the categories to it nothing is allowed but arithmetic element by element, new
    axes, and look-ups in what no category enters. None of them takes an axis away, so a
    term with no axis but the points' has never had two, along which points could meet.
    """
    dependent = {category}
    for node in io_toposort([category], [term]):
        if dependent.isdisjoint(node.inputs):
            continue
        if isinstance(node.op, (AdvancedSubtensor, AdvancedSubtensor1)):
            source, *index = node.inputs
            masks = any(getattr(one, "dtype", "") == "bool" for one in index)
            allowed = source not in dependent and not masks
        else:
            allowed = isinstance(node.op, (Elemwise, DimShuffle))
        if not allowed:
            return False
        dependent.update(node.outputs)
    axes, axes_of_term = (x.broadcastable.count(False) for x in (category, term))
    return axes == axes_of_term < 2
