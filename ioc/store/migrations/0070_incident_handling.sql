-- Groups, clocks, escalation, hand-over and shelving of incidents; policies that people edit.

ALTER TABLE incident
    DROP CONSTRAINT incident_handling_check,
    ADD CONSTRAINT incident_handling_check CHECK (handling IN
        ('new', 'acknowledged', 'assigned', 'in_progress', 'resolved', 'closed', 'rejected', 'merged')),
    ADD COLUMN respond_due     timestamptz,
    ADD COLUMN responded       timestamptz,
    ADD COLUMN working_clock   boolean NOT NULL DEFAULT false,
    ADD COLUMN paused          timestamptz,
    ADD COLUMN pause_reason    text,
    ADD COLUMN escalate        timestamptz,
    ADD COLUMN escalated       timestamptz,
    ADD COLUMN level           integer NOT NULL DEFAULT 0,
    ADD COLUMN shelved_until   timestamptz,
    ADD COLUMN handed_from     text,
    ADD COLUMN agencies        text[] NOT NULL DEFAULT '{}',
    ADD COLUMN photo           text,
    -- Checked at the commit: a head may be raised after its members within one transaction.
    ADD COLUMN merged_into     text REFERENCES incident (id) DEFERRABLE INITIALLY DEFERRED,
    ADD COLUMN merged_by       text,
    ADD COLUMN resumes         text,
    ADD COLUMN members         integer NOT NULL DEFAULT 0 CHECK (members >= 0),
    ADD COLUMN members_active  integer NOT NULL DEFAULT 0 CHECK (members_active >= 0),
    ADD CONSTRAINT incident_merged CHECK ((handling = 'merged') = (merged_into IS NOT NULL)),
    ADD CONSTRAINT incident_no_chain CHECK (merged_into IS NULL OR members = 0);

-- The keeper works out the next step of what is open; what was due before this table knew of it is not told.
UPDATE incident SET escalate = now(), escalated = now()
    WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress');

CREATE INDEX incident_members ON incident (merged_into) WHERE merged_into IS NOT NULL;
-- What retention looks for: with the index of the finished ones it is asked as one "or".
CREATE INDEX incident_merged_updated ON incident (updated) WHERE handling = 'merged';
-- What the keeper looks for every few seconds.
CREATE INDEX incident_escalate ON incident (escalate) WHERE escalate IS NOT NULL;
CREATE INDEX incident_shelved ON incident (shelved_until) WHERE shelved_until IS NOT NULL;
-- Around a new alarm: what is open in its ward and was detected lately.
CREATE INDEX incident_around ON incident (ward, detected)
    WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress');
-- The pace of a ward.
CREATE INDEX incident_resolved ON incident (resolved) WHERE resolved IS NOT NULL;

-- What a key was used for; a different command under the same key is refused.
ALTER TABLE incident_command ADD COLUMN digest bytea;

-- Every version of every policy stays, so that it can be said which was in force when.
CREATE TABLE policy (
    name     text NOT NULL,
    version  integer NOT NULL CHECK (version > 0),
    doc      jsonb NOT NULL,
    author   text NOT NULL,
    reason   text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);
GRANT SELECT, INSERT ON policy TO ioc_app;
