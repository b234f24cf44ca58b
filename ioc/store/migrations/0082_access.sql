-- Accounts of an identity provider, API tokens, device keys that run out.

ALTER TABLE account
    -- NULL: this person logs in at the identity provider only.
    ALTER COLUMN password_hash DROP NOT NULL,
    ADD COLUMN oidc_issuer  text,
    ADD COLUMN oidc_subject text,
    ADD CHECK ((oidc_issuer IS NULL) = (oidc_subject IS NULL)),
    ADD CHECK (password_hash IS NOT NULL OR oidc_subject IS NOT NULL),
    ADD UNIQUE (oidc_issuer, oidc_subject);

-- A login under way at the identity provider; `state` comes back with its answer, once.
CREATE TABLE oidc_login (
    state_hash bytea       PRIMARY KEY CHECK (length(state_hash) = 32),
    nonce      text        NOT NULL,
    verifier   text        NOT NULL,
    created    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX oidc_login_created ON oidc_login (created);
GRANT SELECT, INSERT, DELETE ON oidc_login TO ioc_app;

-- Tokens of machines: 256 random bits each, of which only the SHA-256 is stored.
CREATE TABLE api_token (
    id         text        PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9._-]{1,62}$'),
    token_hash bytea       NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    role       text        NOT NULL CHECK (role IN
               ('operator', 'supervisor', 'ward', 'leader', 'engineer', 'admin')),
    wards      text[],
    scopes     text[]      NOT NULL CHECK (cardinality(scopes) > 0),
    author     text        NOT NULL,
    created    timestamptz NOT NULL DEFAULT now(),
    expires    timestamptz NOT NULL CHECK (expires > created),
    used       timestamptz,
    revoked    timestamptz,
    CHECK (role <> 'ward' OR (wards IS NOT NULL AND cardinality(wards) > 0)),
    CHECK (role = 'ward' OR wards IS NULL)
);
ALTER TABLE api_token ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_token FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON api_token USING ((SELECT ioc_serves('service')));
GRANT SELECT, INSERT, UPDATE ON api_token TO ioc_app;

-- While a key is exchanged for a new one both are valid, the old one until then.
ALTER TABLE device_key ADD COLUMN expires_at timestamptz;
CREATE INDEX device_key_expires ON device_key (expires_at) WHERE revoked_at IS NULL AND expires_at IS NOT NULL;
