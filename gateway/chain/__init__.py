"""The hash chain of audit records: its stored form, how it is written, and what proves that it is whole."""
