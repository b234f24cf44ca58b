-- History over native range partitions of `time`, and 5-minute aggregates kept by maintenance: what this
-- database uses where TimescaleDB is missing (`0060_history.hypertables.sql` where it is there).
--
-- Each table has partitions of a fixed width from eight days ago on, and `<table>_rest` for every other time,
-- which only restored or replayed data has. What an earlier version stored stays in `<table>_before`.

CREATE TABLE history_partition (
    parent text        NOT NULL,
    name   text        PRIMARY KEY,
    lower  timestamptz NOT NULL,
    upper  timestamptz NOT NULL,
    UNIQUE (parent, lower)
);

DO $$
DECLARE
    -- Two days ahead, so that a writer of an old version that is still running stays within.
    cut timestamptz := (date_trunc('day', now() AT TIME ZONE 'UTC') + interval '2 days') AT TIME ZONE 'UTC';
    parent text;
    filled boolean;
BEGIN
    FOREACH parent IN ARRAY ARRAY['camera_event', 'traffic_measurement', 'feedback_report'] LOOP
        EXECUTE format('ALTER TABLE %I RENAME TO %I', parent, parent || '_before');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) PARTITION BY RANGE (time)',
                       parent, parent || '_before');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', parent || '_rest', parent || '_before');
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', parent, parent || '_rest');
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', parent || '_before') INTO filled;
        IF filled THEN
            EXECUTE format('WITH moved AS (DELETE FROM %I WHERE time >= $1 RETURNING *)'
                           ' INSERT INTO %I SELECT * FROM moved', parent || '_before', parent || '_rest')
                USING cut;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
                           parent, parent || '_before', cut);
            INSERT INTO history_partition VALUES (parent, parent || '_before', '-infinity', cut);
            EXECUTE format('GRANT SELECT, DELETE ON %I TO ioc_app', parent || '_before');
        ELSE
            EXECUTE format('DROP TABLE %I', parent || '_before');
        END IF;
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON %I TO ioc_app', parent);
        EXECUTE format('GRANT SELECT, DELETE ON %I TO ioc_app', parent || '_rest');
    END LOOP;
END
$$;

-- The service runs without the right to create or drop tables; it may do exactly this much of it.

CREATE FUNCTION history_extend(parent text, width interval, until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
-- Whoever waits for a lock on the parent holds everybody else up: rather try again at the next round.
SET lock_timeout = '2s' SET timezone = 'UTC' AS $$
DECLARE
    from_time timestamptz;
    to_time   timestamptz;
    name      text;
    made      integer := 0;
BEGIN
    IF parent NOT IN ('camera_event', 'traffic_measurement', 'feedback_report')
       OR width < interval '1 hour' OR until > now() + interval '400 days' THEN
        RAISE EXCEPTION 'history_extend: % by % until %', parent, width, until
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One at a time, whoever calls.
    LOCK TABLE public.history_partition IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(p.upper), date_bin(width, now() - interval '8 days', '2000-01-03 00:00:00Z'))
        INTO from_time FROM public.history_partition p WHERE p.parent = history_extend.parent;
    WHILE from_time < until AND made < 500 LOOP
        to_time := from_time + width;
        name := parent || '_' || to_char(from_time, 'YYYYMMDD_HH24MI');
        EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                       name, parent);
        -- What strayed here before there was a partition for it.
        EXECUTE format('WITH moved AS (DELETE FROM public.%I WHERE time >= %L AND time < %L RETURNING *)'
                       ' INSERT INTO public.%I SELECT * FROM moved',
                       parent || '_rest', from_time, to_time, name);
        -- Attaching lets readers and writers of the other partitions go on, which PARTITION OF would not.
        EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, name, from_time, to_time);
        INSERT INTO public.history_partition VALUES (parent, name, from_time, to_time);
        made := made + 1;
        from_time := to_time;
    END LOOP;
    RETURN made;
END
$$;

CREATE FUNCTION history_drop(parent text, before timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s' AS $$
DECLARE
    gone    text;
    dropped integer := 0;
BEGIN
    LOCK TABLE public.history_partition IN SHARE ROW EXCLUSIVE MODE;
    FOR gone IN
        SELECT p.name FROM public.history_partition p
        WHERE p.parent = history_drop.parent AND p.upper <= least(before, now())
        ORDER BY p.upper LIMIT 50
    LOOP
        EXECUTE format('DROP TABLE public.%I', gone);
        DELETE FROM public.history_partition p WHERE p.name = gone;
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

REVOKE ALL ON FUNCTION history_extend(text, interval, timestamptz), history_drop(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION history_extend(text, interval, timestamptz), history_drop(text, timestamptz) TO ioc_app;
GRANT SELECT ON history_partition TO ioc_app;

-- Aggregates. A bucket into which something was written since it was last computed is open. The views compute
-- open buckets from the events and take the others from the tables, so they are always exact; maintenance
-- closes buckets, and nothing else needs it to be in time.

CREATE TABLE rollup_open (
    stream  text        NOT NULL,
    bucket  timestamptz NOT NULL,
    claimed boolean     NOT NULL DEFAULT false,  -- being computed by maintenance
    PRIMARY KEY (stream, bucket, claimed)
);

CREATE FUNCTION history_touched(touched_stream text, buckets timestamptz[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- Held until the writer commits. Maintenance takes the exclusive lock while it claims buckets: every row
    -- written under an earlier mark is visible to it then, and later rows make a new mark.
    PERFORM pg_advisory_xact_lock_shared(hashtext('ioc.rollup'), hashtext(touched_stream));
    INSERT INTO rollup_open (stream, bucket)
        SELECT touched_stream, b FROM unnest(buckets) b ORDER BY b ON CONFLICT DO NOTHING;
END
$$;

CREATE TABLE traffic_5m_closed (
    bucket        timestamptz NOT NULL,
    source        text        NOT NULL,
    ward          text,
    measurements  bigint      NOT NULL,
    volume_veh    bigint,
    speeds        bigint      NOT NULL,
    speed_kmh     double precision,
    speed_min_kmh double precision,
    speed_max_kmh double precision,
    occupancies   bigint      NOT NULL,
    occupancy     double precision
);
CREATE INDEX traffic_5m_closed_source ON traffic_5m_closed (source, bucket);
CREATE INDEX traffic_5m_closed_ward ON traffic_5m_closed (ward, bucket);
CREATE INDEX traffic_5m_closed_bucket ON traffic_5m_closed (bucket);

CREATE TABLE camera_5m_closed (
    bucket               timestamptz NOT NULL,
    source               text        NOT NULL,
    ward                 text,
    views                bigint      NOT NULL,
    people               double precision,
    people_max           bigint,
    vehicles             double precision,
    vehicles_max         bigint,
    stopped_vehicles_max bigint,
    intervals            bigint      NOT NULL,
    people_counted       bigint,
    vehicles_counted     bigint
);
CREATE INDEX camera_5m_closed_source ON camera_5m_closed (source, bucket);
CREATE INDEX camera_5m_closed_ward ON camera_5m_closed (ward, bucket);
CREATE INDEX camera_5m_closed_bucket ON camera_5m_closed (bucket);

-- The ranges keep values no road can have from ending the sum of everybody else's with an overflow.
CREATE VIEW traffic_5m_open AS
    SELECT o.bucket, live.* FROM (SELECT DISTINCT bucket FROM rollup_open WHERE stream = 'traffic') o
    CROSS JOIN LATERAL (
        SELECT source, ward,
            count(*) AS measurements,
            (sum(volume_veh) FILTER (WHERE volume_veh BETWEEN 0 AND 1000000000))::bigint AS volume_veh,
            count(*) FILTER (WHERE speed_kmh BETWEEN 0 AND 1000) AS speeds,
            avg(speed_kmh) FILTER (WHERE speed_kmh BETWEEN 0 AND 1000) AS speed_kmh,
            min(speed_kmh) FILTER (WHERE speed_kmh BETWEEN 0 AND 1000) AS speed_min_kmh,
            max(speed_kmh) FILTER (WHERE speed_kmh BETWEEN 0 AND 1000) AS speed_max_kmh,
            count(*) FILTER (WHERE occupancy BETWEEN 0 AND 1) AS occupancies,
            avg(occupancy) FILTER (WHERE occupancy BETWEEN 0 AND 1) AS occupancy
        FROM traffic_measurement
        WHERE type = 'traffic.flow' AND time >= o.bucket AND time < o.bucket + interval '5 minutes'
        GROUP BY source, ward
    ) live;

CREATE VIEW camera_5m_open AS
    SELECT o.bucket, live.* FROM (SELECT DISTINCT bucket FROM rollup_open WHERE stream = 'camera') o
    CROSS JOIN LATERAL (
        SELECT source, ward,
            count(*) FILTER (WHERE NOT counted) AS views,
            (avg(people) FILTER (WHERE NOT counted))::double precision AS people,
            max(people) FILTER (WHERE NOT counted) AS people_max,
            (avg(vehicles) FILTER (WHERE NOT counted))::double precision AS vehicles,
            max(vehicles) FILTER (WHERE NOT counted) AS vehicles_max,
            max(stopped_vehicles) FILTER (WHERE NOT counted) AS stopped_vehicles_max,
            count(*) FILTER (WHERE counted) AS intervals,
            (sum(people) FILTER (WHERE counted AND people BETWEEN 0 AND 1000000000))::bigint AS people_counted,
            (sum(vehicles) FILTER (WHERE counted AND vehicles BETWEEN 0 AND 1000000000))::bigint
                AS vehicles_counted
        FROM (
            SELECT source, ward, people, vehicles, stopped_vehicles,
                coalesce(data ? 'interval_s', false) AS counted
            FROM camera_event
            WHERE type = 'camera.count' AND time >= o.bucket AND time < o.bucket + interval '5 minutes'
        ) e
        GROUP BY source, ward
    ) live;

CREATE VIEW traffic_5m AS
    SELECT * FROM traffic_5m_closed c
    WHERE NOT EXISTS (SELECT FROM rollup_open o WHERE o.stream = 'traffic' AND o.bucket = c.bucket)
    UNION ALL SELECT * FROM traffic_5m_open;
CREATE VIEW camera_5m AS
    SELECT * FROM camera_5m_closed c
    WHERE NOT EXISTS (SELECT FROM rollup_open o WHERE o.stream = 'camera' AND o.bucket = c.bucket)
    UNION ALL SELECT * FROM camera_5m_open;

-- What an earlier version stored is computed once, the newest first.
INSERT INTO rollup_open (stream, bucket)
    SELECT DISTINCT 'traffic', date_bin('5 minutes', time, '2000-01-03 00:00:00Z') FROM traffic_measurement
    UNION ALL
    SELECT DISTINCT 'camera', date_bin('5 minutes', time, '2000-01-03 00:00:00Z') FROM camera_event;

GRANT SELECT, INSERT, UPDATE, DELETE ON rollup_open TO ioc_app;
GRANT SELECT, INSERT, DELETE ON traffic_5m_closed, camera_5m_closed TO ioc_app;
GRANT SELECT ON traffic_5m_open, camera_5m_open, traffic_5m, camera_5m TO ioc_app;
