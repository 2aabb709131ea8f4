"""Reports over several campaigns: everything of a period, and a few side by side."""
