-- Aggregates that are the same over hypertables and partitions. Times are UTC, buckets begin at `bucket`.

-- `speed_kmh` and `occupancy` are means over measurements, so a ward's is weighted by them, not by detectors.
CREATE VIEW traffic_5m_ward AS
    SELECT bucket, ward,
        count(DISTINCT source) AS sources,
        sum(measurements)::bigint AS measurements,
        sum(volume_veh)::bigint AS volume_veh,
        sum(speeds)::bigint AS speeds,
        sum(speed_kmh * speeds) / nullif(sum(speeds), 0)::double precision AS speed_kmh,
        min(speed_min_kmh) AS speed_min_kmh,
        max(speed_max_kmh) AS speed_max_kmh,
        sum(occupancies)::bigint AS occupancies,
        sum(occupancy * occupancies) / nullif(sum(occupancies), 0)::double precision AS occupancy
    FROM traffic_5m GROUP BY bucket, ward;

-- People and vehicles in view add up over the cameras of a ward: each camera gives its mean.
CREATE VIEW camera_5m_ward AS
    SELECT bucket, ward,
        count(DISTINCT source) AS sources,
        sum(views)::bigint AS views,
        sum(people) AS people,
        max(people_max) AS people_max,
        sum(vehicles) AS vehicles,
        max(vehicles_max) AS vehicles_max,
        max(stopped_vehicles_max) AS stopped_vehicles_max,
        sum(intervals)::bigint AS intervals,
        sum(people_counted)::bigint AS people_counted,
        sum(vehicles_counted)::bigint AS vehicles_counted
    FROM camera_5m GROUP BY bucket, ward;

-- Incidents are few and change for days: counted when asked, which is always right. With the reader's own
-- rights, so that row-level security of the table holds here as well.
CREATE VIEW incident_1h WITH (security_invoker = true) AS
    SELECT date_bin('1 hour', opened, '2000-01-03 00:00:00Z') AS bucket, ward, category, severity,
        count(*) AS opened,
        count(acknowledged) AS acknowledged,
        count(resolved) AS resolved,
        count(*) FILTER (WHERE handling = 'rejected') AS rejected,
        avg(extract(epoch FROM acknowledged - opened))::double precision AS acknowledge_s,
        avg(extract(epoch FROM resolved - opened))::double precision AS resolve_s
    FROM incident GROUP BY 1, 2, 3, 4;

GRANT SELECT ON traffic_5m_ward, camera_5m_ward, incident_1h TO ioc_app;
