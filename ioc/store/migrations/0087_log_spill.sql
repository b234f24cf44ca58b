-- What was acknowledged while Kafka could not take it, until it can (ioc/eventlog/spill.py).
--
-- Tables of their own and not the embedded log's: there, offsets belong to groups' positions, and rows leave by
-- retention. These rows have no offset before Kafka gives them one, and leave once it has.

-- One row per partition that ever spilled. Whoever spills holds it locked until commit, so the order of ids in
-- `log_spilled` is the order of commits; whoever finds `records` above 0 spills behind instead of overtaking.
CREATE TABLE log_spill (
    topic      text   NOT NULL,
    partition  int    NOT NULL,
    records    bigint NOT NULL DEFAULT 0 CHECK (records >= 0),
    size_bytes bigint NOT NULL DEFAULT 0 CHECK (size_bytes >= 0),
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- One row per append and partition.
CREATE TABLE log_spilled (
    topic      text        NOT NULL,
    partition  int         NOT NULL,
    id         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    records    int         NOT NULL CHECK (records > 0),
    size_bytes int         NOT NULL,
    spilled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    payload    bytea       NOT NULL,  -- as in `log_batch`: [[kind, payload], ...], `records` of them
    PRIMARY KEY (topic, partition, id)
);
ALTER TABLE log_spilled ALTER COLUMN payload SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE ON log_spill TO ioc_app;
GRANT SELECT, INSERT, DELETE ON log_spilled TO ioc_app;
