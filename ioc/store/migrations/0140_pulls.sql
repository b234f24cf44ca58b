-- What is fetched from others at intervals: how far it has come, and when it is due again. Whoever moves `next_at`
-- does the work, so that several processes share it.
CREATE TABLE pull (
    device     text        PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    since      timestamptz NOT NULL,
    next_at    timestamptz NOT NULL,
    failures   integer     NOT NULL DEFAULT 0,
    succeeded  timestamptz,
    last_error text
);
GRANT SELECT, INSERT, UPDATE ON pull TO ioc_app;
