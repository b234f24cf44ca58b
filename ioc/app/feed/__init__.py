"""The live feed's sources: incident changes, states, and what must not wait."""
