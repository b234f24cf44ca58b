-- Devices out of service: disabled for a time, or removed. A row outlives its device, so that a rule that looks back
-- sees what it saw.
CREATE TABLE device_outage (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id text        NOT NULL,
    kind      text        NOT NULL CHECK (kind IN ('disabled', 'removed')),
    begins    timestamptz NOT NULL,
    ends      timestamptz,
    reason    text        NOT NULL,
    author    text        NOT NULL,
    created   timestamptz NOT NULL DEFAULT now(),
    device    jsonb,
    CHECK (ends >= begins),
    CHECK ((kind = 'removed') = (device IS NOT NULL))
);
COMMENT ON COLUMN device_outage.begins IS 'from when on rules excuse it, by the time of the log; messages are refused at once';
COMMENT ON COLUMN device_outage.ends IS 'null while it is disabled, or removed and not registered again';
COMMENT ON COLUMN device_outage.device IS 'what was registered of a removed one: rules knew it until then';
CREATE UNIQUE INDEX device_outage_open ON device_outage (device_id) WHERE ends IS NULL;
CREATE INDEX device_outage_ends ON device_outage (ends);
GRANT SELECT, INSERT, UPDATE ON device_outage TO ioc_app;

-- Maintenance of a removed device is no less past than that of others.
ALTER TABLE device_maintenance DROP CONSTRAINT device_maintenance_device_id_fkey;
