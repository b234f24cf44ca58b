"""The partitioned, durable, ordered log of events, clock ticks and control messages (DESIGN §6)."""
