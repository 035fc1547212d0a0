"""The questions that the process chart's rows ask. Each answers from its arguments and nothing else."""

from holdfast.engine import Event, Stamp

from .context import Process


def is_wanted(p: Process, e: Event, at: Stamp) -> bool:
    """The last of start, stop and restart was no stop."""
    return p.wanted


def has_restarts(p: Process, e: Event, at: Stamp) -> bool:
    """A restart was asked for and not begun."""
    return bool(p.restarts)


def has_child(p: Process, e: Event, at: Stamp) -> bool:
    """A child of ours is alive, or about to be."""
    return p.has_child


def is_attached(p: Process, e: Event, at: Stamp) -> bool:
    """The gateway is not ours."""
    return p.attached


# -- after a failed start ----------------------------------------------------------------------------------------


def is_config(p: Process, e: Event, at: Stamp) -> bool:
    """The gateway refuses its configuration."""
    return p.config_fault


def is_repairable(p: Process, e: Event, at: Stamp) -> bool:
    """There is something that repairs a configuration."""
    return p.repairable


def was_repaired(p: Process, e: Event, at: Stamp) -> bool:
    """A repair was tried in this start."""
    return p.repaired


def is_mended(p: Process, e: Event, at: Stamp) -> bool:
    """And it changed something, so another one would change no more."""
    return p.mended


def is_passing(p: Process, e: Event, at: Stamp) -> bool:
    """What went wrong may well work in a second."""
    return p.passing_fault


def has_tries(p: Process, e: Event, at: Stamp) -> bool:
    """This start may be tried again."""
    return p.tries < p.policy.start_attempts_max


def has_attempts(p: Process, e: Event, at: Stamp) -> bool:
    """This streak may go on."""
    return p.attempts < p.policy.reconnect_attempts_max


def may_reconnect(p: Process, e: Event, at: Stamp) -> bool:
    """The gateway did run, or the policy waits for its first run as patiently (V41)."""
    return p.proven or p.policy.first_failure == "retry"
