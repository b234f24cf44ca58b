-- Cameras whose events we fetch by holding a connection, and what they are reached with.
ALTER TABLE device
    ADD COLUMN attach          text,
    ADD COLUMN attach_url      text,
    ADD COLUMN tls_verify      boolean NOT NULL DEFAULT true,
    ADD COLUMN basic_over_http boolean NOT NULL DEFAULT false;

-- Logins at devices: the password sealed with a key that is not in the database.
CREATE TABLE device_login (
    device_id  text        PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    login_user text        NOT NULL,
    sealed     bytea       NOT NULL,
    changed    timestamptz NOT NULL DEFAULT now()
);

-- Who holds a device's stream and how that fares. Whoever has the lease holds it, and nobody else.
CREATE TABLE attachment (
    device_id   text        PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    owner       text,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    state       text        NOT NULL DEFAULT 'waiting',
    changed     timestamptz NOT NULL DEFAULT now(),
    seen        timestamptz,
    connects    bigint      NOT NULL DEFAULT 0,
    failures    integer     NOT NULL DEFAULT 0,
    due         timestamptz NOT NULL DEFAULT '-infinity',
    error       text
) WITH (fillfactor = 70);
COMMENT ON COLUMN attachment.seen IS 'when anything came over it last';
COMMENT ON COLUMN attachment.failures IS 'times in a row that it was refused or cut without an event in between';
COMMENT ON COLUMN attachment.due IS 'when it may be tried again, also by another process';

GRANT SELECT, INSERT, UPDATE, DELETE ON device_login, attachment TO ioc_app;
