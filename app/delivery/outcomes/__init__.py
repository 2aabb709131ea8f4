"""Messages whose end needs a person: those awaiting receipt, and those that failed."""
