"""The command line `ioc-sim`: `main.py` puts its commands together."""
