"""What a webhook is told of a client."""
