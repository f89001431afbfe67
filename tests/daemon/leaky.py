"""A plugin that says its secrets wherever it can, as a careless one or its libraries do, for test_secrets.py."""

import asyncio

from gateway import Audit, Filter, Secret, Settings, Transform, hookimpl

KNOWN = []


class Own(Settings):
    """The plugin's own settings."""

    dsn: Secret


class Keyed(Settings):
    """Of each component."""

    token: Secret


class Base:
    """What all of them do."""

    Config = Keyed

    def words(self):
        """Everything it must not say."""
        return f"{self.config} {self.config.token.reveal()} {self.context.settings.dsn.reveal()}"

    def open(self):
        """Says it with an error, the first time, and leaves a task behind that does."""
        KNOWN.append(self.words())
        self.context.log.error("opening with %s", self.words())
        self.context.log.debug("opening with %r", {"config": self.config, "words": [self.words()]})
        if len(KNOWN) < 4:
            raise OSError(f"cannot open with {self.words()}")
        task = asyncio.get_running_loop().create_task(self.later())
        del task  # kept, it would never be told of

    async def later(self):
        """Nobody waits for this."""
        raise RuntimeError(f"in the background with {self.words()}")

    def close(self):
        """Says it at the end, too."""
        raise OSError(f"cannot close with {self.words()}")


class LeakyFilter(Base, Filter, name="leaky-filter"):
    """Fails over every second event."""

    def accepts(self, event):
        """Says it with an error."""
        if event.get("fail") == "filter":
            raise ValueError(f"no event for {self.words()}")
        return True


class LeakyTransform(Base, Transform, name="leaky-transform"):
    """The same as a transform, in an async step."""

    async def apply(self, event):
        """Says it with an error."""
        if event.get("fail") == "transform":
            raise ConnectionError(f"no event for {self.words()}")
        return event


class LeakyAudit(Base, Audit, name="leaky-audit"):
    """Takes no record."""

    def record(self, records):
        """Says it with an error."""
        raise OSError(f"no record for {self.words()}")


@hookimpl
def gateway_filters():
    """Offer it."""
    return [LeakyFilter]


@hookimpl
def gateway_transforms():
    """Offer it."""
    return [LeakyTransform]


@hookimpl
def gateway_audits():
    """Offer it."""
    return [LeakyAudit]


@hookimpl
def gateway_settings():
    """Their type."""
    return Own


@hookimpl
def gateway_route_started(route):
    """Says it in a hook."""
    raise RuntimeError(f"{route.name} has {KNOWN}")
