"""Where in a message, and at which hours of the week, clients responded."""
