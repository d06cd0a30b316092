"""The lock has what requirements.in asks for, and the oldest pip installs it."""

import ensurepip
import hashlib
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from page import ROOT

LOCK = (ROOT / "requirements.txt").read_text()
ENTRY = re.compile(r"^([a-z0-9-]+)(\[.*\])?==([^ ]+)(.*(?:\n .*)*)", re.M)


def test_lock_is_in_step_with_the_requirements():
    """What is wanted, in versions that are allowed, and nothing else."""
    source = (ROOT / "requirements.in").read_text()
    wanted = re.findall(r"^[^#\n]+?(?=  #|$)", source, flags=re.M)
    wanted = {x.name: x.specifier for x in map(Requirement, wanted)}
    entries = ENTRY.findall(LOCK)
    locked = {name: version for name, _, version, _ in entries}
    asked = {name for name, *_, text in entries if "-r requirements.in" in text}
    assert set(wanted) == asked, "run `make lock`"
    for name, versions in wanted.items():
        assert versions.contains(locked[name]), f"{name}{versions}: run `make lock`"


def empty_wheel(folder, name, version, metadata):
    """Make a wheel of metadata alone; its hash, as the lock has it."""
    of = f"{name.replace('-', '_')}-{version}"
    path, about = folder / f"{of}-py3-none-any.whl", f"{of}.dist-info"
    with ZipFile(path, "w") as wheel:
        wheel.writestr(f"{about}/METADATA", metadata)
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return f"--hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.machinery
def test_pip_of_python_3_10_resolves_the_lock(tmp_path):
    """As venv brings it, 23.0.1, among empty wheels, since to fetch all takes minutes:
    those of the lock ask for what they do, and of everything there is a newer one."""
    lines, elsewhere = [], r"sys_platform == '(?:win32|darwin)'|os_name == 'nt'"
    for name, extras, version, text in ENTRY.findall(LOCK):
        if not re.search(elsewhere, text):
            newer = f"Metadata-Version: 2.1\nName: {name}\nVersion: 9999\n"
            empty_wheel(tmp_path, name, "9999", newer)
            asks = distribution(name).read_text("METADATA")
            pinned = empty_wheel(tmp_path, name, version, asks)
            lines.append(f"{name}{extras}=={version} {pinned}\n")
    (tmp_path / "lock.txt").write_text("".join(lines))
    (pip,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")
    options = ["--dry-run", "--ignore-installed", "--no-index", "--find-links=."]
    command = [sys.executable, "-m", "pip", "install", *options, "-r", "lock.txt"]
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(pip)}, check=True)
