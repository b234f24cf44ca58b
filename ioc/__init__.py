"""Event-streaming service of a smart city's operations centre."""

__version__ = "0.1.0"
