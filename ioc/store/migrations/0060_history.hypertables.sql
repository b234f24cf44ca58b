-- History as TimescaleDB hypertables with 5-minute continuous aggregates: what this database uses where the
-- extension is there (`0060_history.partitions.sql` where it is missing). Intervals that settings decide are
-- applied at every start by `ioc/store/hypertables.py`.
--
-- The hypertables have no unique index and nothing writes to them with ON CONFLICT, which was wrong on
-- compressed chunks more than once (timescaledb issues 5553, 5801, 6302, 7672): an event is stored once because
-- its row commits together with the position in the log.

SELECT create_hypertable('camera_event', by_range('time', interval '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('traffic_measurement', by_range('time', interval '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('feedback_report', by_range('time', interval '30 days'),
                         create_default_indexes => false, migrate_data => true);

-- By source and ward: both are constant within a segment, so neither a source's nor a ward's history has to
-- decompress anybody else's.
ALTER TABLE camera_event SET (timescaledb.compress, timescaledb.compress_segmentby = 'source, ward',
                              timescaledb.compress_orderby = 'time DESC');
ALTER TABLE traffic_measurement SET (timescaledb.compress, timescaledb.compress_segmentby = 'source, ward',
                                     timescaledb.compress_orderby = 'time DESC');
-- Citizens' reports are few, and row-level security (0080) cannot stand beside compression.

-- TimescaleDB follows by itself what is written into old buckets.
CREATE FUNCTION history_touched(touched_stream text, buckets timestamptz[]) RETURNS void LANGUAGE sql AS '';

-- The ranges keep values no road can have from ending the sum of everybody else's with an overflow.
CREATE MATERIALIZED VIEW traffic_5m
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT time_bucket('5 minutes', time) AS bucket, source, ward,
        count(*) AS measurements,
        (sum(volume_veh) FILTER (WHERE volume_veh BETWEEN 0 AND 1000000000))::bigint AS volume_veh,
        count(*) FILTER (WHERE speed_kmh BETWEEN 0 AND 1000) AS speeds,
        avg(speed_kmh) FILTER (WHERE speed_kmh BETWEEN 0 AND 1000) AS speed_kmh,
        min(speed_kmh) FILTER (WHERE speed_kmh BETWEEN 0 AND 1000) AS speed_min_kmh,
        max(speed_kmh) FILTER (WHERE speed_kmh BETWEEN 0 AND 1000) AS speed_max_kmh,
        count(*) FILTER (WHERE occupancy BETWEEN 0 AND 1) AS occupancies,
        avg(occupancy) FILTER (WHERE occupancy BETWEEN 0 AND 1) AS occupancy
    FROM traffic_measurement WHERE type = 'traffic.flow'
    GROUP BY 1, 2, 3
WITH NO DATA;

CREATE MATERIALIZED VIEW camera_5m
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT time_bucket('5 minutes', time) AS bucket, source, ward,
        count(*) FILTER (WHERE NOT coalesce(data ? 'interval_s', false)) AS views,
        (avg(people) FILTER (WHERE NOT coalesce(data ? 'interval_s', false)))::double precision AS people,
        max(people) FILTER (WHERE NOT coalesce(data ? 'interval_s', false)) AS people_max,
        (avg(vehicles) FILTER (WHERE NOT coalesce(data ? 'interval_s', false)))::double precision AS vehicles,
        max(vehicles) FILTER (WHERE NOT coalesce(data ? 'interval_s', false)) AS vehicles_max,
        max(stopped_vehicles) FILTER (WHERE NOT coalesce(data ? 'interval_s', false)) AS stopped_vehicles_max,
        count(*) FILTER (WHERE data ? 'interval_s') AS intervals,
        (sum(people) FILTER (WHERE data ? 'interval_s' AND people BETWEEN 0 AND 1000000000))::bigint
            AS people_counted,
        (sum(vehicles) FILTER (WHERE data ? 'interval_s' AND vehicles BETWEEN 0 AND 1000000000))::bigint
            AS vehicles_counted
    FROM camera_event WHERE type = 'camera.count'
    GROUP BY 1, 2, 3
WITH NO DATA;

GRANT SELECT ON traffic_5m, camera_5m TO ioc_app;

-- Row-level security cannot be combined with compression (6827) or continuous aggregates (6832), and chunks
-- queried by name would pass it by (7830): wards are conditions of our queries (`ioc/store/history.py`,
-- `series.py`), and `ioc_app` is nobody's login. The chunks' schema cannot be revoked from it: TimescaleDB
-- looks its own functions up there with the rights of whoever is connected.
