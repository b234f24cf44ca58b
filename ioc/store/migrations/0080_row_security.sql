-- Row-level security: below whatever the code decides, a transaction sees the rows of whom it serves.
-- `ioc/store/row_scope.py` sets ioc.scope, ioc.wards and ioc.user; where they are unset no row exists.
-- FORCE makes it hold for the tables' owner too; superusers bypass it, which is why every pool refuses them.
--
-- The functions stand in scalar subqueries, so that they are asked once per statement and not once per row.

CREATE FUNCTION ioc_serves(VARIADIC kinds text[]) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT coalesce(current_setting('ioc.scope', true), '') = ANY (kinds) $$;

CREATE FUNCTION ioc_wards() RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN current_setting('ioc.scope', true) = 'person'
          THEN string_to_array(current_setting('ioc.wards', true), E'\x1f') ELSE '{}' END $$;

CREATE FUNCTION ioc_user() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT nullif(current_setting('ioc.user', true), '') $$;

-- What belongs to a ward.
DO $$
DECLARE protected text;
BEGIN
    -- Maintenance reads two partitions of the reports by their own names, which the parent's policy does not cover.
    FOREACH protected IN ARRAY ARRAY['incident', 'incident_change', 'feedback_report', 'notice',
                                     'feedback_report_rest', 'feedback_report_before'] LOOP
        CONTINUE WHEN to_regclass(protected) IS NULL;
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', protected);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', protected);
        EXECUTE format('CREATE POLICY ward ON %I USING ((SELECT ioc_serves(''service'', ''city''))'
                       ' OR ward = ANY ((SELECT ioc_wards())::text[]))', protected);
    END LOOP;
END
$$;

-- What belongs to an incident: the incident's own policy decides.
ALTER TABLE incident_audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE incident_audit FORCE ROW LEVEL SECURITY;
CREATE POLICY ward ON incident_audit USING (
    (SELECT ioc_serves('service', 'city')) OR EXISTS (SELECT FROM incident WHERE id = incident_id));

-- Accounts and sessions are read before anybody is known, by the service; a person sees their own.
DO $$
DECLARE protected text;
BEGIN
    FOREACH protected IN ARRAY ARRAY['account', 'login_session', 'notice_read'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', protected);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', protected);
        EXECUTE format('CREATE POLICY own ON %I USING ((SELECT ioc_serves(''service''))'
                       ' OR username = (SELECT ioc_user()))', protected);
    END LOOP;
END
$$;

-- COPY does not write into a protected table, but into a view whose trigger inserts. Reports are few.
CREATE VIEW feedback_intake AS SELECT * FROM feedback_report;
CREATE FUNCTION ioc_take_feedback() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO feedback_report SELECT (NEW).*; RETURN NEW; END $$;
CREATE TRIGGER take INSTEAD OF INSERT ON feedback_intake FOR EACH ROW EXECUTE FUNCTION ioc_take_feedback();
GRANT INSERT ON feedback_intake TO ioc_app;
