"""Run the tests as on processors that can do less: `python tests/without_vector_code.py PYTEST_ARGUMENTS...`.

What the arguments choose, twice, and the tests of an execution with the least. NumPy,
OpenBLAS and the C library choose their code for the processor when they are loaded, and
Theano when it compiles; results differ in the last digits.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from numpy._core import _multiarray_umath as umath
except ImportError:  # NumPy 1
    from numpy.core import _multiarray_umath as umath


def in_use():
    """The instructions that NumPy may choose or not, and has chosen in this process."""
    return [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]


def pytest_configure():
    """In the child, which loads this file as a plugin."""
    off = os.environ.get("NPY_DISABLE_CPU_FEATURES", "").split()
    assert not set(off) & set(in_use()), f"not switched off: {in_use()}"
    print(f"NumPy without {off}, with {in_use()}", flush=True)


def without(instructions, kernel):
    """The environment in which NumPy does without these and OpenBLAS takes a kernel."""
    env = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    env |= {"NPY_DISABLE_CPU_FEATURES": " ".join(instructions)} if instructions else {}
    if not umath.__cpu_features__.get("AVX2"):  # OpenBLAS's Haswell needs it
        print("This processor has no AVX2: OpenBLAS is left as it is.")
        return env
    env |= {"OPENBLAS_CORETYPE": kernel}
    numpy = [sys.executable, "-c", "import numpy"]
    how = dict(env=env | {"OPENBLAS_VERBOSE": "2"}, capture_output=True, text=True)
    said = subprocess.run(numpy, **how).stderr
    assert f"Core: {kernel}" in said, f"OpenBLAS is not {kernel}: {said}"
    return env


def main(arguments):
    pytest = [sys.executable, "-m", "pytest", "-p", "without_vector_code"]
    wide = [name for name in in_use() if name.startswith(("AVX512", "X86_V4"))]
    haswell, least = without(wide, "Haswell"), without(in_use(), "Nehalem")
    least["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-FMA,-FMA_Usable"
    with tempfile.TemporaryDirectory() as compiled:
        flags = f"gcc__cxxflags=-march=x86-64,base_compiledir={compiled}"
        least["THEANO_FLAGS"] = flags
        runs = (arguments, haswell), (arguments, least), (["-m", "executes"], least)
        failed = [subprocess.run([*pytest, *x], env=env).returncode for x, env in runs]
        keys = [x.read_bytes() for x in Path(compiled).glob("*/*/key.pkl")]
    assert keys and all(b"-march=x86-64" in key for key in keys), (
        "Theano compiled others"
    )
    sys.exit(any(failed))


if __name__ == "__main__":
    main(sys.argv[1:])
