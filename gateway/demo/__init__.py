"""The demo: a shop that writes orders, a nats-server, the gateway, and a table of what happens."""
