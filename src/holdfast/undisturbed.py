"""Waiting for an end that must not be cut short."""

import asyncio

import anyio


async def undisturbed(task: "asyncio.Task[None]") -> None:
    """Wait for the end of a task that is bounded, whatever happens; a cancellation is passed on afterwards (P47)."""
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
