-- A webhook's secret before the present one signs beside it until `former_until`, so that its receiver can follow.
ALTER TABLE receiver
    ADD COLUMN former_secret text,
    ADD COLUMN former_until  timestamptz,
    ADD CHECK ((former_secret IS NULL) = (former_until IS NULL));
