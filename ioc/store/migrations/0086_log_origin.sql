-- Which log the positions in log_owner belong to: an offset of one log means nothing in another. One row, written
-- by the first start (ioc/eventlog/origin.py).
CREATE TABLE log_origin (
    only_row boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    kind     text        NOT NULL CHECK (kind IN ('embedded', 'kafka')),
    cluster  text        NOT NULL,  -- the id that Kafka gave its cluster; empty for the embedded log
    prefix   text        NOT NULL,
    since    timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE ON log_origin TO ioc_app;
