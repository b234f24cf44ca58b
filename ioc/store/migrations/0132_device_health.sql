-- How devices fare, added up over every process that takes events, and when somebody works on them.
CREATE TABLE device_health (
    device_id    text        PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    seen         timestamptz NOT NULL,
    event        timestamptz,
    refusal      text,
    refused_at   timestamptz,
    throttled_at timestamptz
) WITH (fillfactor = 70);
COMMENT ON COLUMN device_health.seen IS 'when anything of it came last, be it refused';
COMMENT ON COLUMN device_health.event IS 'when an event of it was taken last';
COMMENT ON COLUMN device_health.throttled_at IS 'when a process last said that it lets through a trickle only';

-- Counts of a minute; kept for an hour.
CREATE TABLE device_minute (
    device_id text        NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    minute    timestamptz NOT NULL,
    events    bigint      NOT NULL,
    refused   bigint      NOT NULL,
    positions bigint      NOT NULL,
    backward  bigint      NOT NULL,
    repeated  bigint      NOT NULL,
    skew_us   bigint,
    samples   int         NOT NULL,
    PRIMARY KEY (device_id, minute)
) WITH (fillfactor = 70);
CREATE INDEX device_minute_minute ON device_minute (minute);

-- Never deleted while it counts, so that a rule that looks back sees what it saw.
CREATE TABLE device_maintenance (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id text        NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    begins    timestamptz NOT NULL,
    ends      timestamptz NOT NULL,
    reason    text        NOT NULL,
    author    text        NOT NULL,
    created   timestamptz NOT NULL DEFAULT now(),
    CHECK (ends >= begins)
);
CREATE INDEX device_maintenance_ends ON device_maintenance (ends);

GRANT SELECT, INSERT, UPDATE, DELETE ON device_health, device_minute TO ioc_app;
GRANT SELECT, INSERT, UPDATE ON device_maintenance TO ioc_app;
