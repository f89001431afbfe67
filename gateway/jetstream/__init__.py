"""The JetStream edge: the only importer of `nats`."""
