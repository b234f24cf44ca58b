-- The audit log: append-only, and one SHA-256 chain per area, so that an edit, a deletion and a reordering
-- show. An area is `ward:CODE` or `city` for incidents, `access` for accounts and keys, `personal` for looks at
-- personal data, `retention` for what was deleted on purpose.
--
-- An entry's hash covers the hash before it, the columns named below, and `content`, the SHA-256 of what the
-- entry tells: `doc` itself, or for incidents the row of incident_audit, which is not stored twice.
-- `ioc/store/audit.py` checks all of it; the newest hashes also stand in a file outside the database.

CREATE TABLE audit_entry (
    area     text        NOT NULL CHECK (area ~ '^(ward:.+|city|access|personal|retention)$'),
    seq      bigint      NOT NULL CHECK (seq > 0),
    recorded timestamptz NOT NULL,
    actor    text        NOT NULL,
    op       text        NOT NULL,
    subject  text        NOT NULL,
    rev      integer,
    -- NULL: the content is the row of incident_audit with this subject and rev.
    doc      jsonb,
    content  bytea       NOT NULL,
    hash     bytea       NOT NULL,
    PRIMARY KEY (area, seq),
    CHECK ((doc IS NULL) = (rev IS NOT NULL))
);
CREATE UNIQUE INDEX audit_entry_incident ON audit_entry (subject, rev) WHERE rev IS NOT NULL;

CREATE FUNCTION ioc_audit_content(doc jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
-- Without nulls, so that a column added later does not change what was said before it existed.
$$ SELECT sha256(convert_to(jsonb_strip_nulls(doc)::text, 'UTF8')) $$;

CREATE FUNCTION ioc_audit_head(e audit_entry) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT jsonb_build_array(e.area, e.seq, (extract(epoch FROM e.recorded) * 1000000)::bigint,
                            e.actor, e.op, e.subject, e.rev)::text $$;

CREATE FUNCTION ioc_audit_chain() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE last record;
BEGIN
    -- Until the transaction ends: the next entry must see this one.
    PERFORM pg_advisory_xact_lock(x'10CA'::int, hashtext(NEW.area));
    SELECT seq, hash INTO last FROM audit_entry WHERE area = NEW.area ORDER BY seq DESC LIMIT 1;
    NEW.seq := coalesce(last.seq, 0) + 1;
    NEW.recorded := clock_timestamp();
    IF NEW.rev IS NOT NULL THEN
        NEW.content := (SELECT ioc_audit_content(to_jsonb(a)) FROM incident_audit a
                        WHERE incident_id = NEW.subject AND a.rev = NEW.rev);
    ELSE
        NEW.content := ioc_audit_content(NEW.doc);
    END IF;
    NEW.hash := sha256(coalesce(last.hash, decode(repeat('00', 32), 'hex'))
                       || convert_to(ioc_audit_head(NEW), 'UTF8') || NEW.content);
    RETURN NEW;
END
$$;
CREATE TRIGGER chain BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION ioc_audit_chain();

CREATE FUNCTION ioc_audit_incident() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_entry (area, actor, op, subject, rev)
    SELECT coalesce('ward:' || ward, 'city'), NEW.actor, NEW.op, NEW.incident_id, NEW.rev
    FROM incident WHERE id = NEW.incident_id;
    RETURN NULL;
END
$$;

-- What was told before this migration enters the chain now; from here on it cannot be changed unseen.
INSERT INTO audit_entry (area, actor, op, subject, rev)
SELECT coalesce('ward:' || i.ward, 'city'), a.actor, a.op, a.incident_id, a.rev
FROM incident_audit a JOIN incident i ON i.id = a.incident_id
ORDER BY a.at, a.incident_id, a.rev;

CREATE TRIGGER chain AFTER INSERT ON incident_audit FOR EACH ROW EXECUTE FUNCTION ioc_audit_incident();

CREATE FUNCTION ioc_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION ioc_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON incident_audit
    FOR EACH STATEMENT EXECUTE FUNCTION ioc_append_only();

ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_entry FORCE ROW LEVEL SECURITY;
CREATE POLICY written ON audit_entry FOR INSERT WITH CHECK (NOT (SELECT ioc_serves('')));
CREATE POLICY ward ON audit_entry FOR SELECT USING (
    (SELECT ioc_serves('service', 'city')) OR area = ANY (
        ARRAY(SELECT 'ward:' || ward FROM unnest((SELECT ioc_wards())) AS ward)));

GRANT SELECT, INSERT ON audit_entry TO ioc_app;
