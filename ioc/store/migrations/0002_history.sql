-- Typed history, quarantine, the device registry and the areas.
--
-- The history tables have no primary key and no unique index, and every index begins or ends with `time`,
-- so that each can become a TimescaleDB hypertable as it stands. An event is stored once because its
-- insertion commits together with the position in the log. `data` holds the fields that have no column.

CREATE TABLE camera_event (
    time             timestamptz NOT NULL,
    received         timestamptz NOT NULL,
    event_id         text        NOT NULL,
    source           text        NOT NULL,
    type             text        NOT NULL,
    ward             text,
    lon              double precision,
    lat              double precision,
    subject          text,
    kind             text,
    label            text,
    confidence       double precision,
    track_id         text,
    plate            text,
    people           bigint,
    vehicles         bigint,
    stopped_vehicles bigint,
    online           boolean,
    speed_kmh        double precision,
    data             jsonb
);

CREATE TABLE traffic_measurement (
    time       timestamptz NOT NULL,
    received   timestamptz NOT NULL,
    event_id   text        NOT NULL,
    source     text        NOT NULL,
    type       text        NOT NULL,
    ward       text,
    lon        double precision,
    lat        double precision,
    subject    text,
    lane       text,
    speed_kmh  double precision,
    occupancy  double precision,
    volume_veh bigint,
    interval_s double precision,
    duration_s double precision,
    online     boolean,
    data       jsonb
);

CREATE TABLE feedback_report (
    time      timestamptz NOT NULL,
    received  timestamptz NOT NULL,
    event_id  text        NOT NULL,
    source    text        NOT NULL,
    type      text        NOT NULL,
    ward      text,
    lon       double precision,
    lat       double precision,
    subject   text,
    category  text,
    title     text,
    text      text,
    address   text,
    contact   text,  -- personal data: never leaves the store unmasked
    channel   text,
    report_id text,
    satisfied boolean,
    data      jsonb
);

CREATE INDEX camera_event_time ON camera_event (time DESC);
CREATE INDEX camera_event_source ON camera_event (source, time DESC);
CREATE INDEX camera_event_ward ON camera_event (ward, time DESC);
CREATE INDEX traffic_measurement_time ON traffic_measurement (time DESC);
CREATE INDEX traffic_measurement_source ON traffic_measurement (source, time DESC);
CREATE INDEX traffic_measurement_ward ON traffic_measurement (ward, time DESC);
CREATE INDEX feedback_report_time ON feedback_report (time DESC);
CREATE INDEX feedback_report_source ON feedback_report (source, time DESC);
CREATE INDEX feedback_report_ward ON feedback_report (ward, time DESC);

GRANT SELECT, INSERT, DELETE ON camera_event, traffic_measurement, feedback_report TO ioc_app;

-- What could not become an event, with its raw bytes; bounded by rows and bytes, oldest first out.
CREATE TABLE quarantine (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received  timestamptz NOT NULL,
    device    text,
    source    text,
    event_id  text,
    reason    text        NOT NULL,
    field     text,
    detail    text        NOT NULL DEFAULT '',
    raw       bytea       NOT NULL,
    truncated boolean     NOT NULL DEFAULT false
);
GRANT SELECT, INSERT, DELETE ON quarantine TO ioc_app;

CREATE TABLE device (
    id                  text    PRIMARY KEY,
    kind                text    NOT NULL,
    name                text    NOT NULL,
    ward                text,
    lon                 double precision,
    lat                 double precision,
    expected_interval_s double precision,
    picture_url         text,
    decoder             text    NOT NULL DEFAULT 'cloudevents',
    covers              text[]  NOT NULL DEFAULT '{}',
    trusts_position     boolean NOT NULL DEFAULT false
);

-- A key is 256 random bits, so a plain SHA-256 cannot be guessed back; a password hash would only be slow.
CREATE TABLE device_key (
    key_hash   bytea       PRIMARY KEY CHECK (octet_length(key_hash) = 32),
    device_id  text        NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    label      text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX device_key_device ON device_key (device_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON device TO ioc_app;
GRANT SELECT, INSERT, UPDATE ON device_key TO ioc_app;

CREATE TABLE area (
    kind         text    NOT NULL,
    code         text    NOT NULL,
    name_vi      text    NOT NULL,
    name_en      text    NOT NULL,
    geometry     jsonb   NOT NULL,
    valid_from   date    NOT NULL,
    valid_to     date    CHECK (valid_to > valid_from),
    illustrative boolean NOT NULL DEFAULT false,
    properties   jsonb   NOT NULL DEFAULT '{}',
    PRIMARY KEY (kind, code, valid_from)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON area TO ioc_app;

-- Raised by one in every transaction that changes the data set: a cache compares one number.
CREATE TABLE dataset_version (
    name    text   PRIMARY KEY,
    version bigint NOT NULL
);
INSERT INTO dataset_version (name, version) VALUES ('area', 0), ('device', 0);
GRANT SELECT, UPDATE ON dataset_version TO ioc_app;
