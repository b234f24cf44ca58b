"""Holds the event streams of cameras that do not push, and takes what comes as if it had been pushed.

Attacher ─► AttachedStream, one a device ─► alert_stream.hold (Hikvision, Dahua) ─┐
(leases)    (states, waits, durable)     └► pull_point.hold (ONVIF) ──────────────┴─► IngestService
"""
