"""From staged rows to the client book, a module a kind.

Each has two functions. `check(stage, rules)` makes `feed_rows` of the staged rows (what they are joined to, and a
`state`: new, changed, same or passed), refuses what cannot be taken and only reads the client book.
`apply(stage, rules)` writes what is new or changed. Between the two, the months that `days` names are made.
"""
