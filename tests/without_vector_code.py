"""Run the tests as on processors that can do less: `python tests/without_vector_code.py PYTEST_ARGUMENTS...`.

NumPy and OpenBLAS choose their code for the processor when they are loaded, and results differ in the last digits.
"""

import os
import subprocess
import sys

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


def main(arguments):
    wide = [name for name in in_use() if name.startswith(("AVX512", "X86_V4"))]
    settings, failed = [("Haswell", wide), ("Nehalem", in_use())], False
    if not umath.__cpu_features__.get("AVX2"):  # OpenBLAS's Haswell needs it
        print("This processor has no AVX2: OpenBLAS is left as it is.")
        settings = [("", in_use())]
    for kernel, off in settings:
        env = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
        env |= {"NPY_DISABLE_CPU_FEATURES": " ".join(off)} if off else {}
        if kernel:
            env |= {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_VERBOSE": "2"}
            numpy = [sys.executable, "-c", "import numpy"]
            said = subprocess.run(numpy, env=env, capture_output=True, text=True).stderr
            assert f"Core: {kernel}" in said, f"OpenBLAS is not {kernel}: {said}"
            del env["OPENBLAS_VERBOSE"]
        pytest = [sys.executable, "-m", "pytest", "-p", "without_vector_code"]
        failed |= subprocess.run([*pytest, *arguments], env=env).returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main(sys.argv[1:])
