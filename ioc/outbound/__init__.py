"""What leaves the service for other systems: who is told of what, signed, retried, only where it may go."""
