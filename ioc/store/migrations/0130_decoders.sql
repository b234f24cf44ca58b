-- What a decoder must know of a device beyond its bytes: the zone of its local times, and the decoder's options.
ALTER TABLE device ADD COLUMN time_zone text;
ALTER TABLE device ADD COLUMN options jsonb NOT NULL DEFAULT '{}';
