#!/usr/bin/env bash
# papermill 2.7.0, papermill -p NAME VALUE.
# Guess: -p reads 12 as a number and what is no plain number as a string.
# Seen (2026-11-27): whatever Python's int() or float() accepts becomes a number: the
#   run 2026_11 is the integer 202611, the sample 12_3 is 123, the plate 007 is 7 and
#   the group NaN is the float nan. -r passes strings.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11 or later
bin/pip install --quiet --no-compile papermill==2.7.0 nbformat==5.11.1 ipykernel==7.4.0
cat > page.ipynb <<'END'
{"cells": [{"cell_type": "code", "execution_count": null, "id": "a", "outputs": [],
  "metadata": {"tags": ["parameters"]}, "source": "run = sample = plate = group = ''"},
 {"cell_type": "code", "execution_count": null, "id": "b", "outputs": [],
  "metadata": {}, "source": "print([run, sample, plate, group])"}],
 "metadata": {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}},
 "nbformat": 4, "nbformat_minor": 5}
END
export PATH="$folder/bin:$PATH"  # the kernel of this environment
papermill -p run 2026_11 -p sample 12_3 -p plate 007 -p group NaN page.ipynb done.ipynb 2>/dev/null
bin/python - <<'END'
import json

printed = json.load(open("done.ipynb"))["cells"][-1]["outputs"][0]["text"]
printed = "".join(printed).strip()
print("given 2026_11, 12_3, 007, NaN; the notebook has", printed)
if printed != "[202611, 123, 7, nan]":
    raise SystemExit("The behavior has changed.")
END
