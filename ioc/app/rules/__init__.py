"""The rules role: workers and partitions, versions and how they come into force, the workbench's work."""
