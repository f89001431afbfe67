"""The built-in audits, one a file: where the records of what was done are kept."""
