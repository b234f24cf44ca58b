-- Shifts, the list of a hand-over, and the report that stays of it.

CREATE TABLE shift (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rev           integer     NOT NULL DEFAULT 1 CHECK (rev > 0),
    lead          text        NOT NULL,
    began         timestamptz NOT NULL,
    state         text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'handing_over', 'passed')),
    started       timestamptz,
    started_by    text,
    absent        text,
    incoming      text,
    is_opened     boolean     NOT NULL DEFAULT false,
    left_out      integer     NOT NULL DEFAULT 0,
    passed        timestamptz,
    -- Text, not jsonb: its SHA-256 stands in the audit log, so not a byte of it may change.
    report        text,
    report_sha256 text,
    CHECK ((state = 'passed') = (passed IS NOT NULL)),
    CHECK ((report IS NULL) = (report_sha256 IS NULL))
);
-- One shift at a time, whatever the processes do.
CREATE UNIQUE INDEX shift_one_current ON shift ((true)) WHERE state <> 'passed';

CREATE TABLE shift_item (
    shift_id bigint      NOT NULL REFERENCES shift (id),
    ref      text        NOT NULL,
    kind     text        NOT NULL,
    title    jsonb       NOT NULL,
    since    timestamptz NOT NULL,
    severity text,
    ward     text,
    source   text,
    due      timestamptz,
    handling text,
    rev      integer     NOT NULL,
    added    timestamptz NOT NULL,
    verdict  text        NOT NULL CHECK (verdict IN ('open', 'accepted', 'questioned')),
    decider  text,
    decided  timestamptz,
    reason   text,
    note     text,
    gone     boolean     NOT NULL,
    PRIMARY KEY (shift_id, ref)
);

-- A hand-over concerns the whole city: ward staff see nothing of it.
DO $$
DECLARE protected text;
BEGIN
    FOREACH protected IN ARRAY ARRAY['shift', 'shift_item'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', protected);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', protected);
        EXECUTE format('CREATE POLICY centre ON %I USING ((SELECT ioc_serves(''service'', ''city'')))', protected);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON shift TO ioc_app;
-- The list of a hand-over that was cancelled, and of one whose report is kept, goes.
GRANT SELECT, INSERT, UPDATE, DELETE ON shift_item TO ioc_app;
