"""The same corpus and queries on the real Loki 3.7.6 and on the embedded server: one set of goldens for both."""
