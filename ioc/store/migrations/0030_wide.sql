-- Rules keyed more widely than a ward run over the partitions of ioc.wide, beside those of ioc.events.
ALTER TABLE rule_state ADD COLUMN topic text NOT NULL DEFAULT 'ioc.events';
ALTER TABLE rule_state DROP CONSTRAINT rule_state_pkey, ADD PRIMARY KEY (topic, partition, rule, key);
ALTER TABLE rule_status ADD COLUMN topic text NOT NULL DEFAULT 'ioc.events';
ALTER TABLE rule_status DROP CONSTRAINT rule_status_pkey, ADD PRIMARY KEY (topic, partition);
