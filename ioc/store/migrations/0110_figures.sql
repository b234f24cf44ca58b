-- Figures of incidents by ward and category: counted as incidents change, never typed in.
--
-- An incident counts in *parts* (`ioc/incidents/figures.py` names them), each at a moment: detected, due, resolved.
-- A trigger writes what a change adds to and takes from the counts into figure_delta, in the change's own
-- transaction; nobody waits for anybody, since rows are only added. The sums are figure_sum plus what still lies
-- in figure_delta, so they are exact at every moment; `ioc/store/figures.py` folds the one into the other.
--
-- Buckets begin on the hour, at midnight and on Mondays of UTC+7, where no summer time is known.

CREATE TABLE figure_delta (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL,
    ward      text,
    category  text        NOT NULL,
    part      smallint    NOT NULL,
    n         integer     NOT NULL
);

-- ward '' has none, ward and category '*' are all of them together. `counts` belong to `parts` by position.
CREATE TABLE figure_sum (
    grain     text        NOT NULL CHECK (grain IN ('hour', 'day', 'week')),
    category  text        NOT NULL,
    ward      text        NOT NULL,
    bucket    timestamptz NOT NULL,
    parts     smallint[]  NOT NULL,
    counts    integer[]   NOT NULL,
    PRIMARY KEY (grain, category, ward, bucket)
) WITH (fillfactor = 70);
CREATE INDEX figure_sum_ward ON figure_sum (grain, ward, bucket);

-- An incident forgets that it was finished once when it is opened again; this does not.
CREATE TABLE incident_reopened (
    incident_id text        NOT NULL,
    at          timestamptz NOT NULL,
    ward        text,
    category    text        NOT NULL,
    PRIMARY KEY (incident_id, at)
);
CREATE INDEX incident_reopened_at ON incident_reopened (at);

-- Persons who acted on an incident within an hour: the hours operators were at work.
CREATE TABLE figure_duty (
    hour     timestamptz NOT NULL,
    username text        NOT NULL,
    PRIMARY KEY (hour, username)
);

-- Lists behind the figures.
CREATE INDEX incident_detected ON incident (detected, id);
CREATE INDEX incident_due ON incident (resolve_due, id) WHERE resolve_due IS NOT NULL;
CREATE INDEX incident_closed ON incident (closed, id) WHERE closed IS NOT NULL;
-- What is open, by when it must be resolved: overdue now, and due in the next hours.
CREATE INDEX incident_overdue ON incident (resolve_due) INCLUDE (ward, category)
    WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress') AND paused IS NULL;

CREATE FUNCTION ioc_duration_cell(base integer, spent interval) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
-- Cell k holds 1.2^k to 1.2^(k+1) seconds; the first also what took less, the last what took more.
$$ SELECT (base + least(99, greatest(0, floor(ln(greatest(1, extract(epoch FROM spent)::float8)) / ln(1.2::float8)))))::smallint $$;

CREATE FUNCTION ioc_figure_parts(i incident) RETURNS TABLE (at timestamptz, part smallint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT v.at, v.part::smallint
    FROM (SELECT coalesce(i.resolved, i.closed) AS done,
                 i.handling IN ('new', 'acknowledged', 'assigned', 'in_progress') AS is_open) AS s,
    LATERAL (VALUES
        (1, i.detected, true),
        (2, s.done, NOT s.is_open),
        (3, i.closed, i.handling = 'rejected'),
        (4, i.resolve_due, i.handling <> 'rejected' AND i.paused IS NULL),
        (5, i.resolve_due, i.handling <> 'rejected' AND NOT s.is_open AND s.done <= i.resolve_due),
        (6, i.resolve_due, i.handling <> 'rejected' AND NOT s.is_open),
        (7, i.ack_due, s.is_open OR i.acknowledged IS NOT NULL),
        (8, i.ack_due, i.acknowledged <= i.ack_due),
        -- 9: opened again, an event (see the trigger). What is open now stands in one bucket for ever.
        (10, timestamptz '2000-01-02 17:00:00Z', s.is_open),
        (11, timestamptz '2000-01-02 17:00:00Z', s.is_open AND i.acknowledged IS NULL),
        (12, timestamptz '2000-01-02 17:00:00Z', s.is_open AND i.responded IS NULL),
        (ioc_duration_cell(1000, i.acknowledged - i.detected), i.acknowledged, true),
        (ioc_duration_cell(2000, i.responded - i.detected), i.responded, true),
        (ioc_duration_cell(3000, i.resolved - i.detected), i.resolved, NOT s.is_open)
    ) AS v (part, at, counts)
    -- What is merged counts as its head.
    WHERE i.handling <> 'merged' AND v.counts AND v.at IS NOT NULL
$$;

-- A category with parts (`citizen.light`) counts as what it belongs to.
CREATE FUNCTION ioc_figure_delta() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO figure_delta (at, ward, category, part, n)
        SELECT p.at, NEW.ward, split_part(NEW.category, '.', 1), p.part, 1 FROM ioc_figure_parts(NEW) AS p;
        RETURN NULL;
    END IF;
    INSERT INTO figure_delta (at, ward, category, part, n)
    SELECT at, ward, category, part, sum(n) FROM (
        SELECT p.at, OLD.ward, split_part(OLD.category, '.', 1), p.part, -1 FROM ioc_figure_parts(OLD) AS p
        UNION ALL
        SELECT p.at, NEW.ward, split_part(NEW.category, '.', 1), p.part, 1 FROM ioc_figure_parts(NEW) AS p
    ) AS c (at, ward, category, part, n)
    GROUP BY at, ward, category, part HAVING sum(n) <> 0;
    IF OLD.handling IN ('resolved', 'closed', 'rejected') AND NEW.handling = 'new' THEN
        INSERT INTO incident_reopened VALUES (NEW.id, NEW.updated, NEW.ward, split_part(NEW.category, '.', 1)) ON CONFLICT DO NOTHING;
        IF FOUND THEN
            INSERT INTO figure_delta (at, ward, category, part, n)
            VALUES (NEW.updated, NEW.ward, split_part(NEW.category, '.', 1), 9, 1);
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER figures_new AFTER INSERT ON incident FOR EACH ROW EXECUTE FUNCTION ioc_figure_delta();
-- Most revisions carry new evidence only.
CREATE TRIGGER figures AFTER UPDATE ON incident FOR EACH ROW
    WHEN ((OLD.handling, OLD.ward, OLD.category, OLD.detected, OLD.acknowledged, OLD.responded, OLD.resolved,
           OLD.closed, OLD.ack_due, OLD.resolve_due, OLD.paused) IS DISTINCT FROM
          (NEW.handling, NEW.ward, NEW.category, NEW.detected, NEW.acknowledged, NEW.responded, NEW.resolved,
           NEW.closed, NEW.ack_due, NEW.resolve_due, NEW.paused))
    EXECUTE FUNCTION ioc_figure_delta();

-- What citizens think of results: 13 are votes, 14 those of the content.
CREATE FUNCTION ioc_vote_parts(v citizen_vote)
RETURNS TABLE (ward text, category text, at timestamptz, part smallint) LANGUAGE sql STABLE AS $$
    SELECT i.ward, split_part(i.category, '.', 1), v.at, p.part::smallint
    FROM incident i, (VALUES (13, true), (14, v.satisfied)) AS p (part, counts)
    WHERE i.id = v.incident_id AND p.counts
$$;
CREATE FUNCTION ioc_figure_vote() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO figure_delta (at, ward, category, part, n)
    SELECT p.at, p.ward, p.category, p.part, 1 FROM ioc_vote_parts(NEW) AS p;
    RETURN NULL;
END $$;
CREATE TRIGGER figures AFTER INSERT ON citizen_vote FOR EACH ROW EXECUTE FUNCTION ioc_figure_vote();

CREATE FUNCTION ioc_figure_duty() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    -- Rules and the system have a colon or this name; the feed's position is locked already, so no two wait
    -- for each other here.
    IF NEW.actor <> 'system' AND position(':' IN NEW.actor) = 0 THEN
        INSERT INTO figure_duty VALUES (date_bin('1 hour', NEW.at, '2000-01-02 17:00:00Z'), NEW.actor)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER duty AFTER INSERT ON incident_audit FOR EACH ROW EXECUTE FUNCTION ioc_figure_duty();

-- In which buckets of which wards and categories a part counts.
CREATE FUNCTION ioc_figure_buckets(at timestamptz, of_ward text, of_category text, hours_from timestamptz)
RETURNS TABLE (grain text, category text, ward text, bucket timestamptz)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT g.grain, c.category, w.ward, g.bucket
    FROM (VALUES ('hour', date_bin('1 hour', at, '2000-01-02 17:00:00Z')),
                 ('day', date_bin('1 day', at, '2000-01-02 17:00:00Z')),
                 ('week', date_bin('7 days', at, '2000-01-02 17:00:00Z'))) AS g (grain, bucket),
         (VALUES (of_category), ('*')) AS c (category),
         (VALUES (coalesce(of_ward, '')), ('*')) AS w (ward)
    WHERE g.grain <> 'hour' OR at >= hours_from
$$;

CREATE FUNCTION ioc_figure_merge(parts smallint[], counts integer[], more_parts smallint[], more_counts integer[],
    OUT merged_parts smallint[], OUT merged_counts integer[]) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(part ORDER BY part), '{}'), coalesce(array_agg(n ORDER BY part), '{}') FROM (
        SELECT part, sum(n)::integer AS n
        FROM (SELECT * FROM unnest(parts, counts) UNION ALL SELECT * FROM unnest(more_parts, more_counts)) AS u (part, n)
        GROUP BY part HAVING sum(n) <> 0) AS s
$$;

-- Counts everything anew: what was there before this migration, and wherever somebody doubts the sums. Nobody
-- may change an incident meanwhile.
CREATE FUNCTION ioc_count_figures() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE incident IN SHARE MODE;
    DELETE FROM figure_delta;
    DELETE FROM figure_sum;
    -- By days first: most of the work, and each incident is looked at once for the days and once for the hours.
    WITH moved AS MATERIALIZED (
        SELECT i.ward, split_part(i.category, '.', 1) AS category, f.at, f.part
        FROM incident i CROSS JOIN LATERAL ioc_figure_parts(i) AS f
        UNION ALL SELECT ward, category, at, 9::smallint FROM incident_reopened
        UNION ALL SELECT p.ward, p.category, p.at, p.part
        FROM citizen_vote AS v CROSS JOIN LATERAL ioc_vote_parts(v) AS p
    ), base AS (
        SELECT date_bin('1 day', at, '2000-01-02 17:00:00Z') AS at, ward, category, part, count(*) AS n, false AS fine
        FROM moved GROUP BY 1, 2, 3, 4
        UNION ALL
        SELECT date_bin('1 hour', at, '2000-01-02 17:00:00Z'), ward, category, part, count(*), true
        FROM moved WHERE at >= now() - interval '9 days' GROUP BY 1, 2, 3, 4
    )
    INSERT INTO figure_sum
    SELECT grain, category, ward, bucket, array_agg(part ORDER BY part), array_agg(n ORDER BY part) FROM (
        SELECT b.grain, b.category, b.ward, b.bucket, base.part, sum(base.n)::integer AS n
        FROM base CROSS JOIN LATERAL ioc_figure_buckets(base.at, base.ward, base.category, '-infinity') AS b
        WHERE (b.grain = 'hour') = base.fine
        GROUP BY b.grain, b.category, b.ward, b.bucket, base.part) AS s
    GROUP BY grain, category, ward, bucket;
END $$;

ALTER TABLE figure_delta ENABLE ROW LEVEL SECURITY;
ALTER TABLE figure_delta FORCE ROW LEVEL SECURITY;
CREATE POLICY written ON figure_delta FOR INSERT WITH CHECK (NOT (SELECT ioc_serves('')));
CREATE POLICY ward ON figure_delta FOR SELECT USING ((SELECT ioc_serves('service', 'city'))
    OR ward = ANY ((SELECT ioc_wards())::text[]));
CREATE POLICY folded ON figure_delta FOR DELETE USING ((SELECT ioc_serves('service')));
ALTER TABLE figure_sum ENABLE ROW LEVEL SECURITY;
ALTER TABLE figure_sum FORCE ROW LEVEL SECURITY;
CREATE POLICY ward ON figure_sum USING ((SELECT ioc_serves('service', 'city'))
    OR (ward <> '*' AND ward = ANY ((SELECT ioc_wards())::text[])));
ALTER TABLE incident_reopened ENABLE ROW LEVEL SECURITY;
ALTER TABLE incident_reopened FORCE ROW LEVEL SECURITY;
CREATE POLICY written ON incident_reopened FOR INSERT WITH CHECK (NOT (SELECT ioc_serves('')));
CREATE POLICY ward ON incident_reopened FOR SELECT USING ((SELECT ioc_serves('service', 'city'))
    OR ward = ANY ((SELECT ioc_wards())::text[]));
ALTER TABLE figure_duty ENABLE ROW LEVEL SECURITY;
ALTER TABLE figure_duty FORCE ROW LEVEL SECURITY;
CREATE POLICY written ON figure_duty FOR INSERT WITH CHECK (NOT (SELECT ioc_serves('')));
CREATE POLICY city ON figure_duty FOR SELECT USING ((SELECT ioc_serves('service', 'city')));

-- What happened before.
SELECT set_config('ioc.scope', 'service', true);
INSERT INTO incident_reopened
SELECT DISTINCT i.id, a.at, i.ward, split_part(i.category, '.', 1) FROM incident_audit a JOIN incident i ON i.id = a.incident_id
WHERE a.op = 'reopen' ON CONFLICT DO NOTHING;
INSERT INTO figure_duty
SELECT DISTINCT date_bin('1 hour', at, '2000-01-02 17:00:00Z'), actor FROM incident_audit
WHERE actor <> 'system' AND position(':' IN actor) = 0;
SELECT ioc_count_figures();

GRANT SELECT, INSERT, DELETE ON figure_delta TO ioc_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON figure_sum TO ioc_app;
GRANT SELECT, INSERT ON incident_reopened, figure_duty TO ioc_app;
