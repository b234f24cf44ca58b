"""The device registry: files and tables of devices, logins, health."""
