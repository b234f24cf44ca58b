"""The words every part shares. Imports nothing of ours, performs nothing."""
