"""Clients whom no message can reach, why, and the work of repairing that."""
