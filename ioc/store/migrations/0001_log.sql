-- The embedded event log, and the positions of every log (the embedded one and Kafka).

-- One row per partition. `next_offset` moves in the transaction that appends, under this row's lock, so the
-- order of offsets is the order of commits and no offset is ever missing.
CREATE TABLE log_partition (
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- One row per append and partition: the records with offsets [end_offset - count, end_offset).
-- Keyed by the end, so that "everything that reaches past my position" is one index range.
CREATE TABLE log_batch (
    topic      text        NOT NULL,
    partition  int         NOT NULL,
    end_offset bigint      NOT NULL,
    count      int         NOT NULL CHECK (count > 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    payload    bytea       NOT NULL,  -- MessagePack: [[kind, payload], ...], `count` of them
    PRIMARY KEY (topic, partition, end_offset)
);
-- Compressing in the server would cost more time than the disk it saves.
ALTER TABLE log_batch ALTER COLUMN payload SET STORAGE EXTERNAL;

-- What has been appended within the dedup window: a 16-byte hash of (topic, source, id).
CREATE TABLE log_dedup (
    key     bytea       NOT NULL PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);
-- Rows lie on disk in the order of `seen_at`: a block range index costs next to nothing.
CREATE INDEX log_dedup_seen_at ON log_dedup USING brin (seen_at) WITH (pages_per_range = 32);

-- Who owns a partition for a group, and how far the group has come. A commit must present `generation`.
CREATE TABLE log_owner (
    group_name  text   NOT NULL,
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    owner       text,
    generation  bigint NOT NULL DEFAULT 0,
    next_offset bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (group_name, topic, partition)
) WITH (fillfactor = 50);

-- The lease is the member's, not the partition's: a heartbeat never waits for a position being committed.
CREATE TABLE log_member (
    group_name  text        NOT NULL,
    topic       text        NOT NULL,
    owner       text        NOT NULL,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (group_name, topic, owner)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON log_partition TO ioc_app;
GRANT SELECT, INSERT, DELETE ON log_batch, log_dedup TO ioc_app;
GRANT SELECT, INSERT, UPDATE ON log_owner TO ioc_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON log_member TO ioc_app;
