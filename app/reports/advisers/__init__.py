"""How far each adviser and team came with the contacts they were given, and who came furthest."""
