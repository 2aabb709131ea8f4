"""Measures of the hot paths, each against a plain reference in the same run. `make bench`; see docs/performance.md."""
