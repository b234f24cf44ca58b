-- Hash of the session that a browser had when it began to log in at the identity provider: it ends with the login.
ALTER TABLE oidc_login ADD COLUMN former bytea CHECK (length(former) = 32);
