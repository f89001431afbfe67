"""How fast the gateway is, beside what a user would write by hand: `python -m benchmarks`, or `make bench`."""
