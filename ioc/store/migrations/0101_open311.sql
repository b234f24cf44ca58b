-- Where a partner that sent a report by Open311 keeps a picture of it.

ALTER TABLE citizen_report ADD COLUMN media_url text;
