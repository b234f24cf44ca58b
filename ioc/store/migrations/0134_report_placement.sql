-- How a report that came with an address only was placed, and how sure that is.
ALTER TABLE citizen_report ADD COLUMN placed_by text;
ALTER TABLE citizen_report ADD COLUMN place_confidence double precision;
