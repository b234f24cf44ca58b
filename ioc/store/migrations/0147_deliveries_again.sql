-- How often somebody asked that a delivery be tried again after it had failed.
ALTER TABLE delivery ADD COLUMN resent integer NOT NULL DEFAULT 0;
CREATE INDEX delivery_failed ON delivery (receiver, id) WHERE state = 'failed';
