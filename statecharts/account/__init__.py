"""The account: one authenticated connection, from its credentials to its socket."""
