-- How a topic is laid out: which partitions its keys are spread over, and since where. The rules' state, positions
-- and every writer follow this number (ioc/eventlog/layout.py); `ioc log partitions` changes it together with them.
CREATE TABLE log_layout (
    topic        text   NOT NULL,
    partition    int    NOT NULL CHECK (partition >= 0),
    first_offset bigint NOT NULL DEFAULT 0,  -- records before it were placed by a former number of partitions
    PRIMARY KEY (topic, partition)
);
-- Of the embedded log it is known. Kafka's topics are looked at by the next start.
INSERT INTO log_layout (topic, partition) SELECT topic, partition FROM log_partition
WHERE NOT EXISTS (SELECT FROM log_origin WHERE kind = 'kafka');

GRANT SELECT, INSERT, UPDATE, DELETE ON log_layout TO ioc_app;
