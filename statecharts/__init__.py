"""The charts as data: states, events, commands, guards, effects and policies."""
