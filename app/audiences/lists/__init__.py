"""Lists of client numbers that people paste or upload, to be used in segments."""
