"""Figures and early warnings: kept in step and shown."""
