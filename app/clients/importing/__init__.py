"""Taking a file of clients into the book: reading, mapping, converting, loading. See docs/importing.md."""
