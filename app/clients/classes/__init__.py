"""Value models: rules of the firm that put each client into a class, with versions and history."""
