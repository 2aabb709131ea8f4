"""Facts about a client, changed by people: who may change what, and what waits for confirmation."""
