-- How much of the log's past new and reshaped rules run over before they go live; 0 for none.
ALTER TABLE rule_version ADD COLUMN warm_s integer NOT NULL DEFAULT 0 CHECK (warm_s >= 0);
