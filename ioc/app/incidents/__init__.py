"""Incidents in the service: effects and commands stored, policies in force, clocks, shifts, notices."""
