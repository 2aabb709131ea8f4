"""Who looks after a client: owner, second adviser, credit, the pool, transfers and leavers."""
