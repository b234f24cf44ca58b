-- Rule versions, where each partition switches, what shadow rules would have raised, and each rule's cost.

-- A text as it was pushed, stored once however often it is used.
CREATE TABLE rule_source (
    digest text PRIMARY KEY,  -- BLAKE2b of the text, hexadecimal
    file   text NOT NULL,     -- name for messages only
    text   text NOT NULL
);

-- One row per push, disable or enable. Version 1 is the folder of rules as it was at the first start.
CREATE TABLE rule_version (
    version     bigint      PRIMARY KEY CHECK (version > 0),
    at          timestamptz NOT NULL DEFAULT now(),
    author      text        NOT NULL,
    op          text        NOT NULL CHECK (op IN ('import', 'push', 'shadow', 'disable', 'enable')),
    reason      text,
    flood       text,         -- why more alarms than the budget were accepted
    announced   timestamptz   -- when the log had its control records; NULL: still to be appended
);
CREATE INDEX rule_version_unannounced ON rule_version (version) WHERE announced IS NULL;

-- What a version changes. The rules of version n are, per rule and lane, the newest change up to n.
CREATE TABLE rule_change (
    version bigint  NOT NULL REFERENCES rule_version (version),
    rule    text    NOT NULL,
    lane    text    NOT NULL CHECK (lane IN ('active', 'shadow')),
    source  text    NOT NULL REFERENCES rule_source (digest),
    hash    text    NOT NULL,  -- the compiler's: what incidents carry as rule_version
    enabled boolean NOT NULL,
    PRIMARY KEY (rule, lane, version)
);
CREATE INDEX rule_change_version ON rule_change (version);

-- The version each partition runs: written in the transaction that commits the position of its activation.
CREATE TABLE rule_activation (
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    version     bigint NOT NULL,
    "offset"    bigint NOT NULL,  -- of the control record
    PRIMARY KEY (topic, partition)
);

-- What shadow rules would have raised: bounded per rule, the oldest go first; the count goes on.
CREATE TABLE rule_shadow_firing (
    incident_id text        NOT NULL,
    rule        text        NOT NULL,
    hash        text        NOT NULL,
    key         text        NOT NULL,
    severity    text        NOT NULL,
    ward        text,
    opened      timestamptz NOT NULL,
    detected    timestamptz NOT NULL,
    cleared     timestamptz,
    summary     jsonb       NOT NULL,
    PRIMARY KEY (incident_id, hash)
);
CREATE INDEX rule_shadow_firing_rule ON rule_shadow_firing (rule, hash, detected DESC);
CREATE TABLE rule_shadow_count (
    rule   text   NOT NULL,
    hash   text   NOT NULL,
    raised bigint NOT NULL,
    PRIMARY KEY (rule, hash)
);

-- What the worker of a partition knows of each rule: failures, seconds, counts. One row per partition.
DROP TABLE rule_status;
CREATE TABLE rule_status (
    partition int         PRIMARY KEY,
    version   bigint      NOT NULL,
    doc       jsonb       NOT NULL,
    updated   timestamptz NOT NULL DEFAULT now()
);

-- Backtests read history in the order of arrival, which is the order of rows on disk: this index costs
-- next to nothing.
CREATE INDEX camera_event_received ON camera_event USING brin (received) WITH (pages_per_range = 32);
CREATE INDEX traffic_measurement_received ON traffic_measurement USING brin (received)
    WITH (pages_per_range = 32);
CREATE INDEX feedback_report_received ON feedback_report USING brin (received) WITH (pages_per_range = 32);

GRANT SELECT, INSERT ON rule_source, rule_change TO ioc_app;
GRANT SELECT, INSERT, UPDATE ON rule_version, rule_activation, rule_shadow_count TO ioc_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON rule_shadow_firing, rule_status TO ioc_app;
