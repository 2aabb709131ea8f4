"""What everything of one kind has to do alike, whoever wrote it."""
