-- Who is told of what happens to incidents, what is still to be told, and who has read it.

-- Followers of the feed of incident changes: each takes every change once, in order.
CREATE TABLE change_follower (
    name         text   PRIMARY KEY,
    after_offset bigint NOT NULL
);

CREATE TABLE receiver (
    id           text        PRIMARY KEY,
    kind         text        NOT NULL CHECK (kind IN ('in_app', 'email', 'webhook')),
    target       text        NOT NULL,
    lang         text        NOT NULL DEFAULT 'vi' CHECK (lang IN ('vi', 'en')),
    min_severity text        NOT NULL CHECK (min_severity IN ('critical', 'high', 'medium', 'low')),
    ops          text[]      NOT NULL,
    categories   text[]      NOT NULL,
    wards        text[],
    enabled      boolean     NOT NULL DEFAULT true,
    -- Signing needs the secret itself; it is shown once and never read by the API again.
    secret       text,
    author       text        NOT NULL,
    created      timestamptz NOT NULL DEFAULT now(),
    -- The breaker outlives a restart, so that a restart does not storm a receiver that is down.
    failures     integer     NOT NULL DEFAULT 0,
    open_until   timestamptz NOT NULL DEFAULT '-infinity',
    last_error   text,
    last_sent    timestamptz
);

CREATE TABLE delivery (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receiver  text        NOT NULL REFERENCES receiver (id) ON DELETE CASCADE,
    notice_id text        NOT NULL,
    doc       bytea       NOT NULL,  -- MessagePack of the notice
    created   timestamptz NOT NULL DEFAULT now(),
    due       timestamptz NOT NULL DEFAULT now(),
    attempts  integer     NOT NULL DEFAULT 0,
    state     text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed', 'dropped')),
    error     text,
    finished  timestamptz,
    UNIQUE (receiver, notice_id)
);
CREATE INDEX delivery_waiting ON delivery (receiver, due) WHERE state = 'waiting';
CREATE INDEX delivery_finished ON delivery (finished) WHERE state <> 'waiting';

-- What a person sees in the console: notices for their role, within their wards.
CREATE TABLE notice (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    role        text        NOT NULL,
    op          text        NOT NULL,
    incident_id text        NOT NULL,
    rev         integer     NOT NULL,
    severity    text        NOT NULL,
    category    text        NOT NULL,
    ward        text,
    title       jsonb       NOT NULL,
    at          timestamptz NOT NULL,
    UNIQUE (role, incident_id, rev)
);
CREATE INDEX notice_at ON notice USING brin (at);
CREATE TABLE notice_read (
    username text   PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    up_to    bigint NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON change_follower, notice_read TO ioc_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON receiver, delivery TO ioc_app;
GRANT SELECT, INSERT, DELETE ON notice TO ioc_app;
