-- The role everything but the migrations connects as: no superuser, no owner, no rights by default.
-- Each later migration grants exactly what the code needs on the tables it creates.

DO $$
BEGIN
    -- Roles belong to the whole cluster: another database's migration may create it at the same moment.
    -- Where it exists already, an administrator without the right to create roles is enough.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ioc_app') THEN
        CREATE ROLE ioc_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO ioc_app;
GRANT SELECT ON schema_migration TO ioc_app;
