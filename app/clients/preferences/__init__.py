"""What clients chose for themselves: topics, a pause, channels, language, no personalised marketing."""
