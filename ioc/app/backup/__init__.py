"""Backups of the embedded database: a dump and the files beside it, encrypted on their way."""
