-- Citizens' reports from their reporters' side: what they told, how they follow it, what they were answered and
-- whether they are content. What happened is an event in the log like any other; the incident it became is found
-- by its key, which is the report that leads (`root`).

CREATE TABLE citizen_report (
    id           text        PRIMARY KEY,
    -- SHA-256 of the tracking code: who reads the table cannot vote for anybody.
    code_hash    bytea       NOT NULL UNIQUE,
    -- The report that tells of the same thing and was there before, else itself.
    root         text        NOT NULL REFERENCES citizen_report (id) DEFERRABLE INITIALLY DEFERRED,
    -- Taken for the same as another at first, and told to the log anew since.
    separated    boolean     NOT NULL DEFAULT false,
    service      text        NOT NULL,
    text         text        NOT NULL,
    address      text,
    lon          double precision,
    lat          double precision,
    ward         text,
    channel      text        NOT NULL CHECK (channel IN ('web', 'open311')),
    -- The token of the partner that sent it, where one did.
    partner      text,
    language     text        NOT NULL DEFAULT 'vi' CHECK (language IN ('vi', 'en')),
    -- Sealed with a key that is not in the database; the hash is keyed too, and counts reports of one person.
    contact      bytea,
    contact_hash bytea,
    photos       text[]      NOT NULL DEFAULT '{}',
    received     timestamptz NOT NULL,
    -- When the log had it; until then the keeper tries again.
    appended     timestamptz,
    -- An idempotency key of the sender, and what it was used for.
    idem         text        UNIQUE,
    digest       bytea       NOT NULL,
    -- Personal data is gone: contact forgotten, words masked.
    forgotten    boolean     NOT NULL DEFAULT false,
    CHECK ((lon IS NULL) = (lat IS NULL)),
    CHECK ((contact IS NULL) OR (contact_hash IS NOT NULL))
);
CREATE INDEX citizen_report_root ON citizen_report (root);
CREATE INDEX citizen_report_received ON citizen_report (received DESC, id DESC);
CREATE INDEX citizen_report_service ON citizen_report (service, received DESC);
CREATE INDEX citizen_report_waiting ON citizen_report (received) WHERE appended IS NULL;
CREATE INDEX citizen_report_contact ON citizen_report (contact_hash, received) WHERE contact_hash IS NOT NULL;
CREATE INDEX citizen_report_personal ON citizen_report (received) WHERE NOT forgotten;

-- What people of the centre or a ward answered one reporter, beside what the state of the incident says.
CREATE TABLE citizen_answer (
    report_id text        NOT NULL REFERENCES citizen_report (id),
    at        timestamptz NOT NULL,
    text      text        NOT NULL,
    author    text        NOT NULL,
    PRIMARY KEY (report_id, at)
);

-- One vote of each reporter on each resolution; `resolution` is the incident's revision that resolved it.
CREATE TABLE citizen_vote (
    report_id   text        NOT NULL REFERENCES citizen_report (id),
    incident_id text        NOT NULL REFERENCES incident (id),
    resolution  integer     NOT NULL,
    satisfied   boolean     NOT NULL,
    text        text,
    at          timestamptz NOT NULL,
    appended    timestamptz,
    PRIMARY KEY (report_id, incident_id, resolution)
);
CREATE INDEX citizen_vote_incident ON citizen_vote (incident_id, resolution);
CREATE INDEX citizen_vote_waiting ON citizen_vote (at) WHERE appended IS NULL;

-- The incident of a report; the rule's key is the source and the leading report.
CREATE INDEX incident_citizen ON incident (key) WHERE rule = 'citizen-report';
CREATE INDEX incident_citizen_opened ON incident (opened DESC) WHERE rule = 'citizen-report';

ALTER TABLE citizen_report ENABLE ROW LEVEL SECURITY;
ALTER TABLE citizen_report FORCE ROW LEVEL SECURITY;
-- Who may see the incident may see its reports: a ward that handed it over no longer, the one that has it now.
CREATE POLICY ward ON citizen_report USING ((SELECT ioc_serves('service', 'city'))
    OR EXISTS (SELECT FROM incident WHERE rule = 'citizen-report' AND key = 'citizens|' || root));
DO $$
DECLARE protected text;
BEGIN
    FOREACH protected IN ARRAY ARRAY['citizen_answer', 'citizen_vote'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', protected);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', protected);
        EXECUTE format('CREATE POLICY ward ON %I USING ((SELECT ioc_serves(''service'', ''city''))'
                       ' OR EXISTS (SELECT FROM citizen_report WHERE id = report_id))', protected);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE ON citizen_report, citizen_vote TO ioc_app;
GRANT SELECT, INSERT, UPDATE (text) ON citizen_answer TO ioc_app;
