#!/usr/bin/env bash
# flexmix 2.3.18 (Debian 12: r-base-core, r-cran-flexmix), weights= with FLXMCnorm1.
# Guess: the weights are documented as "replication weights (must be integer-valued)":
#   distinct values with their counts give what the whole column gives.
# Seen (2026-11-27): the same means and other standard deviations, 1.23 and 1.22 in place
#   of 1.04 and 1.04, and a log-likelihood lower by 12, without a warning. They do not
#   change if all counts are doubled: the M step takes them as reliability weights and
#   divides by 1 - sum of squared shares.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > fit.R <<'END'
options(warn = 2)
suppressMessages(library(flexmix))
if (packageVersion("flexmix") != "2.3.18") stop("This is of flexmix==2.3.18.")
q <- function(n) qnorm((seq_len(n) - 0.5) / n)
x <- round(c(q(300), 6 + q(200)))
distinct <- sort(unique(x))
counts <- as.integer(table(x))
fitted <- function(values, weights) {
  fit <- flexmix(values ~ 1, cluster = 1 + (values > 3), weights = weights,
                 model = FLXMCnorm1())
  c(parameters(fit)["mean", ], parameters(fit)["sd", ], as.numeric(logLik(fit)))
}
table <- rbind(column = fitted(x, NULL), counts = fitted(distinct, counts),
               doubled = fitted(distinct, 2L * counts))
colnames(table) <- c("mean 1", "mean 2", "sd 1", "sd 2", "log-likelihood")
print(round(table, 3))
cat("flexmix", as.character(packageVersion("flexmix")), "\n")
wide <- table["counts", 3:4] / table["column", 3:4]
alike <- abs(table["counts", 1:4] - table["doubled", 1:4])
if (any(wide < 1.1) || any(alike > 0.01)) stop("The behavior has changed.")
END
Rscript fit.R
