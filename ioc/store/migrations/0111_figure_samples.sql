-- What figures of now were, hour by hour, and when each device was last heard of.

-- Looked up by `ioc/app/figure_keeper.py`, one index read per device, so that nobody who asks has to.
CREATE TABLE device_seen (
    device_id text        PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    at        timestamptz NOT NULL
);
CREATE TABLE device_seen_run (
    only_row boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    at       timestamptz NOT NULL
);

-- ward '' is none, '*' all together.
CREATE TABLE figure_sample (
    figure text             NOT NULL,
    ward   text             NOT NULL,
    hour   timestamptz      NOT NULL,
    value  double precision NOT NULL,
    n      integer          NOT NULL,
    PRIMARY KEY (figure, ward, hour)
);
CREATE INDEX figure_sample_hour ON figure_sample USING brin (hour);
ALTER TABLE figure_sample ENABLE ROW LEVEL SECURITY;
ALTER TABLE figure_sample FORCE ROW LEVEL SECURITY;
CREATE POLICY ward ON figure_sample USING ((SELECT ioc_serves('service', 'city'))
    OR (ward <> '*' AND ward = ANY ((SELECT ioc_wards())::text[])));

GRANT SELECT, INSERT, UPDATE, DELETE ON device_seen, device_seen_run, figure_sample TO ioc_app;
