-- A citizen's picture belongs to the incident that their report became, also where that is raised only later:
-- then whoever sees the incident sees it, wherever the incident is handed over to.

CREATE FUNCTION ioc_take_photos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE photo SET incident_id = NEW.id
    WHERE incident_id IS NULL
      AND report_id IN (SELECT id FROM citizen_report WHERE root = split_part(NEW.key, '|', 2));
    RETURN NULL;
END $$;
CREATE TRIGGER take_photos AFTER INSERT ON incident FOR EACH ROW
    WHEN (NEW.rule = 'citizen-report') EXECUTE FUNCTION ioc_take_photos();
