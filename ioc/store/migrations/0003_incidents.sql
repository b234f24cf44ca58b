-- Incidents, their append-only history, the commit-ordered feed of their changes, and the rules' state.

CREATE TABLE incident (
    id            text PRIMARY KEY,
    rev           integer NOT NULL CHECK (rev > 0),
    rule          text NOT NULL,
    key           text NOT NULL,
    category      text NOT NULL,
    severity      text NOT NULL CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    condition     text NOT NULL CHECK (condition IN ('active', 'cleared')),
    handling      text NOT NULL CHECK (handling IN
                  ('new', 'acknowledged', 'assigned', 'in_progress', 'resolved', 'closed', 'rejected')),
    title         jsonb NOT NULL,
    why           jsonb NOT NULL,
    opened        timestamptz NOT NULL,
    detected      timestamptz NOT NULL,
    updated       timestamptz NOT NULL,
    ward          text,
    source        text,
    lon           double precision,
    lat           double precision,
    cleared       timestamptz,
    acknowledged  timestamptz,
    resolved      timestamptz,
    closed        timestamptz,
    assignee      text,
    team          text,
    note          text,
    count         integer NOT NULL DEFAULT 1,
    ack_due       timestamptz,
    resolve_due   timestamptz
);

-- One open episode per rule and key, whatever the processes do.
CREATE UNIQUE INDEX incident_one_active ON incident (rule, key) WHERE condition = 'active';
-- The queue: what still needs somebody, newest first.
CREATE INDEX incident_open ON incident (opened DESC, id DESC)
    WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress');
CREATE INDEX incident_ward ON incident (ward, opened DESC, id DESC);
CREATE INDEX incident_opened ON incident (opened DESC, id DESC);
CREATE INDEX incident_finished ON incident (updated DESC) WHERE handling IN ('resolved', 'closed', 'rejected');

CREATE TABLE incident_audit (
    incident_id text NOT NULL REFERENCES incident (id),
    rev         integer NOT NULL,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    op          text NOT NULL,
    before      text,
    after       text,
    note        text,
    details     jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (incident_id, rev)
);

-- A command repeated with the same key is answered, not carried out again.
CREATE TABLE incident_command (
    idem        text PRIMARY KEY,
    incident_id text NOT NULL,
    actor       text NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX incident_command_at ON incident_command USING brin (at);

-- The feed. "offset" is taken from feed_position, whose row stays locked until commit: the order of
-- offsets is the order of commits and has no gaps, which a sequence cannot promise.
CREATE TABLE feed_position (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch        text NOT NULL DEFAULT gen_random_uuid()::text,
    next_offset  bigint NOT NULL DEFAULT 1
);
INSERT INTO feed_position DEFAULT VALUES;

CREATE TABLE incident_change (
    "offset"    bigint PRIMARY KEY,
    incident_id text NOT NULL,
    rev         integer NOT NULL,
    ward        text,
    at          timestamptz NOT NULL DEFAULT now(),
    doc         bytea NOT NULL
);
CREATE INDEX incident_change_at ON incident_change USING brin (at);

-- State of the rule engine, committed together with its effects and the log position.
CREATE TABLE rule_state (
    partition integer NOT NULL,
    rule      text NOT NULL,
    key       text NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (partition, rule, key)
) WITH (fillfactor = 70);

-- What the rules workers report about each rule, for people to see.
CREATE TABLE rule_status (
    rule     text PRIMARY KEY,
    doc      jsonb NOT NULL,
    updated  timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE ON incident TO ioc_app;
GRANT SELECT, INSERT ON incident_audit TO ioc_app;
GRANT SELECT, INSERT, DELETE ON incident_command TO ioc_app;
GRANT SELECT, UPDATE ON feed_position TO ioc_app;
GRANT SELECT, INSERT, DELETE ON incident_change TO ioc_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON rule_state, rule_status TO ioc_app;
