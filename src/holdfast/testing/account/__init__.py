"""The account chart's state machine for Hypothesis: a world that misbehaves, and what must hold all the same."""

from .gateway import Greeting, Refreshing
from .machine import AccountMachine
from .properties import Properties, Taken
from .world import World

__all__ = ["AccountMachine", "Greeting", "Properties", "Refreshing", "Taken", "World"]
