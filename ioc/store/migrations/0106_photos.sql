-- Pictures of citizens and of ward staff. They live here and not beside the database, so that a backup holds them
-- and an incident's picture is there whenever the incident is. Each has been re-encoded (`ioc/photos`).

CREATE TABLE photo (
    ref         text        PRIMARY KEY CHECK (ref ~ '^[0-9a-f]{32}$'),
    origin      text        NOT NULL CHECK (origin IN ('staff', 'citizen')),
    -- Who sent it; of a citizen nothing is known.
    author      text,
    uploaded    timestamptz NOT NULL DEFAULT now(),
    width       integer     NOT NULL CHECK (width > 0),
    height      integer     NOT NULL CHECK (height > 0),
    picture     bytea       NOT NULL,
    thumb       bytea       NOT NULL,
    bytes       integer     NOT NULL GENERATED ALWAYS AS (length(picture) + length(thumb)) STORED,
    -- What it is a picture of; without either it is forgotten soon.
    report_id   text,
    incident_id text,
    released    timestamptz,
    released_by text,
    CHECK ((origin = 'staff') = (author IS NOT NULL)),
    CHECK ((released IS NULL) = (released_by IS NULL))
);
-- JPEG cannot be made smaller.
ALTER TABLE photo ALTER COLUMN picture SET STORAGE EXTERNAL, ALTER COLUMN thumb SET STORAGE EXTERNAL;
CREATE INDEX photo_incident ON photo (incident_id, uploaded) WHERE incident_id IS NOT NULL;
CREATE INDEX photo_report ON photo (report_id) WHERE report_id IS NOT NULL;
CREATE INDEX photo_unclaimed ON photo (uploaded) WHERE report_id IS NULL AND incident_id IS NULL;
CREATE INDEX photo_uploaded ON photo (uploaded);

-- What belongs to an incident: the incident's own policy decides. Whoever sent one sees it before that.
ALTER TABLE photo ENABLE ROW LEVEL SECURITY;
ALTER TABLE photo FORCE ROW LEVEL SECURITY;
CREATE POLICY ward ON photo USING (
    (SELECT ioc_serves('service', 'city')) OR author = (SELECT ioc_user())
    OR EXISTS (SELECT FROM incident WHERE id = incident_id));
GRANT SELECT, INSERT, DELETE, UPDATE (report_id, incident_id, released, released_by) ON photo TO ioc_app;
