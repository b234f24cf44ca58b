-- What was resolved, by what raised it: an alarm that comes back opens it again (`ioc/incidents/proof.py`).
CREATE INDEX incident_ended_key ON incident (rule, key, resolved) WHERE resolved IS NOT NULL;
-- What was resolved and still goes on.
CREATE INDEX incident_going_on ON incident (resolved, id)
    WHERE resolved IS NOT NULL AND handling IN ('resolved', 'closed') AND (condition = 'active' OR members_active > 0);
