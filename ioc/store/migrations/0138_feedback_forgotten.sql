-- What citizens wrote is masked in history after its time, whether or not a contact stands beside it: reports taken at
-- our own counter have none there. NULL is not yet. (A default would rewrite, or be refused by, some hypertables.)
ALTER TABLE feedback_report ADD COLUMN forgotten boolean;
GRANT UPDATE (forgotten) ON feedback_report TO ioc_app;
DROP INDEX feedback_report_contact;
CREATE INDEX feedback_report_remembered ON feedback_report (time) WHERE forgotten IS NULL;
