"""The pure middle: compile a config into routes, run one event through a route, decide what follows. No I/O."""
