"""Servers and gateways that die, hang and lose each other under load; afterwards every event is accounted for."""
