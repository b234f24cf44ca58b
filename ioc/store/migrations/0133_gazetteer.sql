-- Digital addresses: what places a report that has an address and no position.
CREATE TABLE gazetteer (
    id        int              PRIMARY KEY,
    code      text             NOT NULL,
    address   text             NOT NULL,
    lon       double precision NOT NULL,
    lat       double precision NOT NULL,
    ward      text,
    old_wards text[]           NOT NULL DEFAULT '{}'
);
INSERT INTO dataset_version (name, version) VALUES ('gazetteer', 0);
GRANT SELECT, INSERT, DELETE ON gazetteer TO ioc_app;
