-- What citizens' reports owe survives a crash, and what is asked of them often is found by index.

-- Whoever migrates need not be a superuser, and then sees rows as the service only.
SELECT set_config('ioc.scope', 'service', true);

-- `reopen_due`: whether what was told may open the incident again has still to be looked at.
-- `refused`: when the log last refused the event for good; it is offered again from time to time.
-- `finished`: whether the incident has ended, kept by the triggers below; what Open311 calls closed.
ALTER TABLE citizen_report
    ADD COLUMN reopen_due boolean NOT NULL DEFAULT false,
    ADD COLUMN refused timestamptz,
    ADD COLUMN finished boolean NOT NULL DEFAULT false;
ALTER TABLE citizen_vote
    ADD COLUMN reopen_due boolean NOT NULL DEFAULT false,
    ADD COLUMN refused timestamptz;
CREATE INDEX citizen_report_reopen ON citizen_report (received) WHERE reopen_due;
CREATE INDEX citizen_vote_reopen ON citizen_vote (at) WHERE reopen_due;
CREATE INDEX citizen_report_finished ON citizen_report (finished, received DESC, id DESC);

-- Keys of the public and of each partner are names in rooms of their own.
UPDATE citizen_report SET idem = channel || ':' || CASE channel WHEN 'web' THEN ':' ELSE '' END || idem
    WHERE idem IS NOT NULL;

-- A repeat of an answer is known by its key.
ALTER TABLE citizen_answer ADD COLUMN idem text;
CREATE UNIQUE INDEX citizen_answer_idem ON citizen_answer (idem, report_id) WHERE idem IS NOT NULL;

-- Whoever joins a report, and whatever raises or changes its incident, do so one after the other: else each of the
-- two might not see the other, and a picture would miss its incident.
CREATE FUNCTION ioc_lock_root(of_root text) RETURNS void LANGUAGE sql AS
$$ SELECT pg_advisory_xact_lock(hashtext('citizen_report'), hashtext(of_root)) $$;

CREATE FUNCTION ioc_root_finished(of_root text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT i.handling IN ('resolved', 'closed', 'rejected')
        FROM (SELECT coalesce(merged_into, id) AS id FROM incident
              WHERE rule = 'citizen-report' AND key = 'citizens|' || of_root ORDER BY opened DESC LIMIT 1) AS own
        JOIN incident i ON i.id = own.id), false)
$$;
UPDATE citizen_report SET finished = true WHERE ioc_root_finished(root);

CREATE FUNCTION ioc_meet_reports() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE roots text[];
BEGIN
    -- Its own report, and those of what is merged into it; locked in one order, so that no two wait for each other.
    SELECT array_agg(DISTINCT split_part(key, '|', 2) ORDER BY split_part(key, '|', 2)) INTO roots FROM incident
    WHERE rule = 'citizen-report' AND (id = NEW.id OR merged_into = NEW.id);
    PERFORM ioc_lock_root(r) FROM unnest(roots) AS r;
    UPDATE citizen_report SET finished = NOT finished
    WHERE root = ANY (roots) AND finished <> ioc_root_finished(root);
    IF TG_OP = 'INSERT' THEN
        UPDATE photo SET incident_id = NEW.id
        WHERE incident_id IS NULL
          AND report_id IN (SELECT id FROM citizen_report WHERE root = split_part(NEW.key, '|', 2));
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER take_photos ON incident;
DROP FUNCTION ioc_take_photos();
CREATE TRIGGER meet_reports_new AFTER INSERT ON incident FOR EACH ROW
    WHEN (NEW.rule = 'citizen-report') EXECUTE FUNCTION ioc_meet_reports();
CREATE TRIGGER meet_reports AFTER UPDATE OF handling, merged_into ON incident FOR EACH ROW
    WHEN ((OLD.handling, OLD.merged_into) IS DISTINCT FROM (NEW.handling, NEW.merged_into)
          AND (NEW.rule = 'citizen-report' OR NEW.members > 0 OR OLD.members > 0))
    EXECUTE FUNCTION ioc_meet_reports();

-- Who may see the incident may see its reports. A subquery of one value is asked by index for each row that was
-- found; of an EXISTS the planner may make a table of every incident somebody may see.
DROP POLICY ward ON citizen_report;
CREATE POLICY ward ON citizen_report USING ((SELECT ioc_serves('service', 'city'))
    OR (SELECT true FROM incident WHERE rule = 'citizen-report' AND key = 'citizens|' || root LIMIT 1));
DO $$
DECLARE protected text;
BEGIN
    FOREACH protected IN ARRAY ARRAY['citizen_answer', 'citizen_vote'] LOOP
        EXECUTE format('DROP POLICY ward ON %I', protected);
        EXECUTE format('CREATE POLICY ward ON %I USING ((SELECT ioc_serves(''service'', ''city''))'
                       ' OR (SELECT true FROM citizen_report WHERE id = report_id))', protected);
    END LOOP;
END
$$;
