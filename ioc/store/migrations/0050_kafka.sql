-- Which appends to Kafka count. Kafka can neither recognise a repeat nor write to several partitions as one, so
-- every record carries its writer and the number of its append, and counts once that number is committed here,
-- in the transaction that claims the append's dedup keys (ioc/eventlog/kafka_writer.py).

-- One row per writer: a process, until an append of it fails. The row is locked while an append is under way.
CREATE TABLE log_writer (
    id        bigint      NOT NULL PRIMARY KEY,
    committed bigint      NOT NULL DEFAULT 0,
    closed    boolean     NOT NULL DEFAULT false,  -- nothing beyond `committed` will ever count
    used_at   timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE, DELETE ON log_writer TO ioc_app;
