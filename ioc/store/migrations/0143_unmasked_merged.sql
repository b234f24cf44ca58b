-- `mask_finished` asks for merged incidents too, which the index of 0083 left out: it could not be used at all.
DROP INDEX incident_unmasked;
CREATE INDEX incident_unmasked ON incident (updated)
    WHERE handling IN ('resolved', 'closed', 'rejected', 'merged') AND masked_rev IS DISTINCT FROM rev;
