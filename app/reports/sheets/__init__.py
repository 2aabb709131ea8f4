"""The morning sheet and the evening sheet of a branch or a team."""
