"""What `make lock`, `make modern` and `make mutants` do: `python recipes.py TARGET`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

VENV = Path(".venv-modern")
NEW_PYTHONS = "3.13", "3.12"
TEST_TOOLS = "pyarrow openpyxl polars astropy pint dask[array,distributed] pytest pytest-timeout hypothesis".split()
SAY_VERSIONS = """\
import mixtures, sys
from importlib.metadata import version
assert mixtures.__file__.startswith(sys.prefix), mixtures.__file__
names = "numpy", "pandas", "scipy", "xarray", "arviz"
print("Python", sys.version.split()[0], *(f"{x} {version(x)}" for x in names))"""
CAUGHT = 0.87  # of the mutants, at least: most others change nothing that is told
NOTICED = 1, -24  # exit codes: a test failed, and one took too long


def run(*command, **how):
    return subprocess.run([*map(str, command)], check=True, **how)


def uv(*arguments):
    return run(os.environ.get("UV", ".venv/bin/uv"), *arguments)


def lock():
    """Pin what requirements.in asks for, and what that needs, for Python 3.10 alone.

    uv says of each line that it is for 3.10 (pyproject.toml); that is taken off. pip
    before 23.3 looks a name with extras up apart from the bare one: both are pinned.
    """
    old, new = Path("requirements.txt"), Path("build/lock")
    new.parent.mkdir(exist_ok=True)
    new.write_bytes(old.read_bytes())  # versions stay where they can
    options = "--quiet --universal --no-strip-extras --generate-hashes"
    options = [*options.split(), "--custom-compile-command", "make lock"]
    uv("pip", "compile", *options, "--output-file", new, "requirements.in")
    text = new.read_text().replace("python_full_version < '3.11' and ", "")
    text = text.replace(" ; python_full_version < '3.11'", "")
    with_extras = r"^(\S+?)\[[^\]]*\](==.*\\\n(?: .*\\\n)* .*\n)"
    old.write_text(re.sub(with_extras, r"\1\2\g<0>", text, flags=re.M))


def modern():
    """Test the wheel with the newest of all that it needs, then the page's model.

    PyMC is installed last: it may hold back versions that the package is tested with.
    """
    for version in NEW_PYTHONS:
        command = [os.environ["UV"], "venv", "-q", "--clear", "--python", version, VENV]
        env = os.environ | {"PYENV_VERSION": version}
        if subprocess.run(command, env=env, stderr=subprocess.DEVNULL).returncode == 0:
            break
    else:
        sys.exit(
            "No Python 3.13 or 3.12, and neither could be fetched. Install one "
            "('uv python install 3.13' or 'pyenv install 3.13') and run make again."
        )
    python, wheels = VENV.absolute() / "bin/python", Path("build/wheel")
    for old in wheels.glob("*.whl"):
        old.unlink()
    uv("build", "--quiet", "--wheel", "--python", python, "--out-dir", wheels)
    install = ["pip", "install", "--quiet", "--python", python]
    uv(*install, *wheels.glob("*.whl"), *TEST_TOOLS)
    run(python, "-c", SAY_VERSIONS, cwd="build")
    pytest = [python, "-m", "pytest", "--noconftest"]
    # those that mutmut runs, too
    tests = re.findall(r'"(tests/test_\w+\.py)"', Path("pyproject.toml").read_text())
    tests = [Path("..", test) for test in tests]
    run(*pytest, "--import-mode=importlib", *tests, cwd="build")
    uv(*install, "pymc")
    run(*pytest, "../tests/test_todays_pymc.py", cwd="build")


def mutants():
    """Plant one in twenty of mutmut's changes, always the same: all would take a day.

    What mutmut calls a timeout may be tests that could not be run: its codes tell.
    """
    env = os.environ | {"PYTHONHASHSEED": "0"}
    run(".venv/bin/mutmut", "run", "*_7", "*[1379]7", env=env)
    codes = {}
    for file in Path("mutants").rglob("*.meta"):
        codes |= json.loads(file.read_text())["exit_code_by_key"]
    tried = {x: code for x, code in codes.items() if code is not None}
    missed = [f"{x}: {code}" for x, code in tried.items() if code not in NOTICED]
    print(*missed, f"caught {len(tried) - len(missed)} of {len(tried)}", sep="\n")
    sys.exit(len(missed) > (1 - CAUGHT) * len(tried))


if __name__ == "__main__":
    try:
        {"lock": lock, "modern": modern, "mutants": mutants}[sys.argv[1]]()
    except subprocess.CalledProcessError as error:  # which has said why
        sys.exit(error.returncode)
