-- Personal data ends on its date: what the retention jobs may change, and people's requests about their data.
-- `ioc/app/privacy.py` says what is kept how long and why.

-- A plate becomes a keyed token after its time: equal plates stay equal, but the plate cannot be read back.
GRANT UPDATE (plate, subject, data) ON camera_event TO ioc_app;
CREATE INDEX camera_event_raw_plate ON camera_event (time) WHERE plate IS NOT NULL AND plate NOT LIKE 'h:%';

-- Who reported is forgotten before what was reported.
GRANT UPDATE (contact, title, text, address, subject, data) ON feedback_report TO ioc_app;
CREATE INDEX feedback_report_contact ON feedback_report (time) WHERE contact IS NOT NULL;

-- `masked_rev`: the revision whose texts were masked for good.
ALTER TABLE incident ADD COLUMN masked_rev integer;
CREATE INDEX incident_unmasked ON incident (updated)
    WHERE handling IN ('resolved', 'closed', 'rejected') AND masked_rev IS DISTINCT FROM rev;

CREATE INDEX quarantine_received ON quarantine USING brin (received);

CREATE TABLE privacy_request (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject_kind text        NOT NULL CHECK (subject_kind IN ('phone', 'plate')),
    -- In plain text until the request is done, afterwards NULL; the token stays to recognise a repeat.
    subject      text,
    token        text        NOT NULL,
    received     timestamptz NOT NULL,
    answer_due   timestamptz NOT NULL,
    done_due     timestamptz NOT NULL,
    answered     timestamptz,
    done         timestamptz,
    author       text        NOT NULL,
    note         text        NOT NULL DEFAULT '',
    erased       jsonb,
    CHECK ((done IS NULL) = (subject IS NOT NULL))
);
CREATE INDEX privacy_request_open ON privacy_request (done_due) WHERE done IS NULL;
ALTER TABLE privacy_request ENABLE ROW LEVEL SECURITY;
ALTER TABLE privacy_request FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON privacy_request USING ((SELECT ioc_serves('service')));
GRANT SELECT, INSERT, UPDATE ON privacy_request TO ioc_app;

CREATE TABLE retention_run (
    purpose text        PRIMARY KEY,
    at      timestamptz NOT NULL,
    changed bigint      NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON retention_run TO ioc_app;

-- A note in an incident's history may name somebody too. Only this function changes one, and the chain tells of
-- it: the entry holds the digest of what stands there now, so that any other change still shows.
CREATE OR REPLACE FUNCTION ioc_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'incident_audit'
       AND current_setting('ioc.masking', true) = 'on' AND current_user <> 'ioc_app' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION ioc_mask_note(of_incident text, of_rev integer, masked text, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE told bytea;
BEGIN
    -- Not in the function's head: there a parameter of our own needs a superuser, and owners are none.
    PERFORM set_config('ioc.masking', 'on', true);
    UPDATE incident_audit SET note = masked WHERE incident_id = of_incident AND rev = of_rev;
    PERFORM set_config('ioc.masking', 'off', true);
    SELECT ioc_audit_content(to_jsonb(a)) INTO told FROM incident_audit a
    WHERE incident_id = of_incident AND rev = of_rev;
    INSERT INTO audit_entry (area, actor, op, subject, doc)
    VALUES ('retention', 'retention', 'note_masked', of_incident,
            jsonb_build_object('rev', of_rev, 'why', why, 'content', encode(told, 'hex')));
END $$;
REVOKE ALL ON FUNCTION ioc_mask_note FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ioc_mask_note TO ioc_app;
