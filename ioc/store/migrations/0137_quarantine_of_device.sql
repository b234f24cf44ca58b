-- The newest refused messages of one device, as its sender or its source.
CREATE INDEX quarantine_device ON quarantine (device, id DESC);
CREATE INDEX quarantine_source ON quarantine (source, id DESC);
