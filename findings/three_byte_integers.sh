#!/usr/bin/env bash
# fcsparser 0.2.8, an FCS file with integers of 24 bits ($PnB 24), byte order 1,2,3,4.
# Guess: the values as written: fcsparser has code for three-byte integers, and names a
#   cytometer, the Cytek xP5, that writes them.
# Seen (2026-11-27): 256 times the value, without what passes 24 bits: 5, 1023 and 70000
#   are read as 1280, 261888 and 1142784. The byte of zeros that makes a field four
#   bytes wide is put in front of it, which is right for the byte order 4,3,2,1 alone;
#   the other file here, in that order, is read right. No warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv .  # Python 3.11: fcsparser asks for NumPy below 2, and imports six
bin/pip install --quiet --no-compile fcsparser==0.2.8 six==1.17.0 numpy==1.26.4 pandas==2.3.3
bin/python -W error::UserWarning - <<'END'
import fcsparser

EVENTS = [(5, 1023), (70_000, 12), (16_000_000, 1)]
DATA = 1024  # where the events begin


def write(name, order):
    """A file of FCS 3.1: 256 bytes of header, the text, the events."""
    size = 3 * 2 * len(EVENTS)
    text = {
        "$BEGINANALYSIS": 0, "$ENDANALYSIS": 0, "$BEGINSTEXT": 0, "$ENDSTEXT": 0,
        "$BEGINDATA": DATA, "$ENDDATA": DATA + size - 1, "$NEXTDATA": 0, "$MODE": "L",
        "$BYTEORD": order, "$DATATYPE": "I", "$PAR": 2, "$TOT": len(EVENTS),
    }
    for n, channel in (1, "FSC"), (2, "SSC"):
        text |= {f"$P{n}N": channel, f"$P{n}B": 24, f"$P{n}R": 2**24, f"$P{n}E": "0,0"}
    text = "/" + "".join(f"{key}/{value}/" for key, value in text.items())
    places = 256, 255 + len(text), DATA, DATA + size - 1, 0, 0
    head = "FCS3.1    " + "".join(f"{place:8}" for place in places)
    endian = "little" if order == "1,2,3,4" else "big"
    events = b"".join(value.to_bytes(3, endian) for event in EVENTS for value in event)
    with open(name, "wb") as file:
        file.write((head.ljust(256) + text).ljust(DATA).encode() + events + b"0" * 8)


read = {}
for order in "4,3,2,1", "1,2,3,4":
    write("events.fcs", order)
    frame = fcsparser.parse("events.fcs")[1]
    read[order] = [tuple(map(int, event)) for event in frame.to_numpy()]
    print("written", EVENTS, "byte order", order, "read", read[order])
if read["4,3,2,1"] != EVENTS:
    raise SystemExit("The file in the other byte order is not read right.")
if read["1,2,3,4"] != [(256 * a % 2**24, 256 * b % 2**24) for a, b in EVENTS]:
    raise SystemExit("The behavior has changed.")
END
