-- Where a camera's moving picture is, beside its still one.
ALTER TABLE device ADD COLUMN stream_url text;
