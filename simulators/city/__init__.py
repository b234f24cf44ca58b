"""The demo city: real names and rough positions, invented geometry (every feature says `illustrative`)."""
