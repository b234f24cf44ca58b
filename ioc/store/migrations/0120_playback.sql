-- Playback asks for the newest change of one incident before a moment.
CREATE INDEX incident_change_incident ON incident_change (incident_id, "offset");
