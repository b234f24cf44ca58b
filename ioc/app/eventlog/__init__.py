"""The log in operation: its partitions, draining and adopting one, reading its past again."""
