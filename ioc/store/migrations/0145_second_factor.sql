-- Second factors of logins (`ioc/store/second_factor.py`): a row says that the person needs one.
CREATE TABLE second_factor (
    username  text PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    -- NULL: its secret is made at the next login.
    sealed    bytea,
    -- When the first code came; until then the secret is shown at each login.
    confirmed timestamptz,
    -- The step of time of the last code: a code counts once.
    last_step bigint NOT NULL DEFAULT 0,
    CHECK (confirmed IS NULL OR sealed IS NOT NULL)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON second_factor TO ioc_app;
ALTER TABLE second_factor ENABLE ROW LEVEL SECURITY;
ALTER TABLE second_factor FORCE ROW LEVEL SECURITY;
-- Nobody but the service: it is looked at before anybody is known.
CREATE POLICY service ON second_factor USING ((SELECT ioc_serves('service')));
