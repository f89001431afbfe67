"""The type of the `say` fixture, which is in conftest.py."""

from collections.abc import Callable

Say = Callable[[str], None]
