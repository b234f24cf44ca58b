-- Early warnings about figures (`ioc/incidents/brakes.py`): episodes, and what brakes remember between evaluations.

-- ward '*' is the whole city.
CREATE TABLE warning (
    id        text             PRIMARY KEY,
    rev       integer          NOT NULL CHECK (rev > 0),
    brake     text             NOT NULL,
    title     jsonb            NOT NULL,
    figure    text             NOT NULL,
    ward      text             NOT NULL,
    category  text,
    period    text             NOT NULL,
    severity  text             NOT NULL CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    stage     text             NOT NULL CHECK (stage IN ('forecast', 'crossed', 'cleared')),
    opened    timestamptz      NOT NULL,
    changed   timestamptz      NOT NULL,
    crossed   timestamptz,
    cleared   timestamptz,
    forecast  timestamptz,
    value     double precision NOT NULL,
    threshold double precision NOT NULL,
    clear_at  double precision NOT NULL,
    n         integer          NOT NULL,
    coverage  double precision,
    blind     boolean          NOT NULL DEFAULT false,
    role      text             NOT NULL,
    CHECK ((stage = 'cleared') = (cleared IS NOT NULL))
);
-- One open warning per brake and scope, whatever the processes do.
CREATE UNIQUE INDEX warning_one_open ON warning (brake, ward) WHERE stage <> 'cleared';
CREATE INDEX warning_changed ON warning (changed DESC, id);
ALTER TABLE warning ENABLE ROW LEVEL SECURITY;
ALTER TABLE warning FORCE ROW LEVEL SECURITY;
CREATE POLICY ward ON warning USING ((SELECT ioc_serves('service', 'city'))
    OR (ward <> '*' AND ward = ANY ((SELECT ioc_wards())::text[])));

CREATE TABLE brake_memory (
    brake  text  NOT NULL,
    ward   text  NOT NULL,
    points jsonb NOT NULL,
    PRIMARY KEY (brake, ward)
);
ALTER TABLE brake_memory ENABLE ROW LEVEL SECURITY;
ALTER TABLE brake_memory FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON brake_memory USING ((SELECT ioc_serves('service')));

-- In how many scopes a brake was evaluated, and in how many there was too little data to conclude anything.
CREATE TABLE brake_standing (
    brake   text        PRIMARY KEY,
    title   jsonb       NOT NULL,
    scopes  integer     NOT NULL,
    blind   integer     NOT NULL,
    checked timestamptz NOT NULL
);

-- What a delivery's document is: a notice of an incident or of a warning.
ALTER TABLE delivery ADD COLUMN about text NOT NULL DEFAULT 'incident' CHECK (about IN ('incident', 'warning'));

GRANT SELECT, INSERT, UPDATE, DELETE ON warning, brake_memory, brake_standing TO ioc_app;
