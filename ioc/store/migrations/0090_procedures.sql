-- Procedures: how far an incident's checklist has come, and every text of one that was ever in force.

ALTER TABLE incident ADD COLUMN checklist jsonb;

-- An incident names the text it began with by its digest; nothing here is ever changed.
CREATE TABLE procedure_text (
    ref   text        PRIMARY KEY,
    doc   jsonb       NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON procedure_text TO ioc_app;
