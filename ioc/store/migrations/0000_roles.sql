-- The role everything but the migrations connects as: no superuser, no owner, no rights by default.
-- Each later migration grants exactly what the code needs on the tables it creates.

DO $$
BEGIN
    -- Roles belong to the whole cluster: another database's migration may create it at the same moment.
    CREATE ROLE ioc_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO ioc_app;
GRANT SELECT ON schema_migration TO ioc_app;
