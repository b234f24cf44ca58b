-- People, their browser sessions, and the brake on guessing passwords.

CREATE TABLE account (
    -- Lower case and NFC, so that a name has one spelling; see ioc/store/users.py.
    username      text PRIMARY KEY CHECK (username = lower(username) AND length(username) BETWEEN 2 AND 64),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN
                  ('operator', 'supervisor', 'ward', 'leader', 'engineer', 'admin')),
    wards         text[],
    lang          text NOT NULL DEFAULT 'vi' CHECK (lang IN ('vi', 'en')),
    disabled      boolean NOT NULL DEFAULT false,
    created       timestamptz NOT NULL DEFAULT now(),
    password_set  timestamptz NOT NULL DEFAULT now(),
    -- NULL means every ward, which ward staff must never have.
    CHECK (role <> 'ward' OR (wards IS NOT NULL AND cardinality(wards) > 0)),
    CHECK (role = 'ward' OR wards IS NULL)
);

CREATE TABLE login_session (
    -- SHA-256 of the token: whoever reads this table cannot log in with it.
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    username   text NOT NULL REFERENCES account ON DELETE CASCADE,
    created    timestamptz NOT NULL DEFAULT now(),
    seen       timestamptz NOT NULL DEFAULT now(),
    user_agent text NOT NULL DEFAULT ''
);
CREATE INDEX login_session_username ON login_session (username);
CREATE INDEX login_session_seen ON login_session (seen);

CREATE TABLE login_throttle (
    -- 'user:…' or 'ip:…'
    key      text PRIMARY KEY,
    attempts integer NOT NULL,
    since    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_throttle_since ON login_throttle (since);

GRANT SELECT, INSERT, UPDATE ON account TO ioc_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON login_session, login_throttle TO ioc_app;
