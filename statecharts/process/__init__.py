"""The gateway process chart: one gateway on one port, started, watched, restarted and stopped."""
