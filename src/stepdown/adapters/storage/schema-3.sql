-- Version 3 of the ledger: applied after schema-2.sql, to a new ledger and to an older one.
--
-- Audits: the ceiling's answer beside one that the policy gave, drawn with a known chance. They are
-- rows of `shadows` with ran = 'ceiling'. What was drawn and not audited is a row too: its loss is
-- NULL and why_not says why. `ceiling`: the ceiling had answered, so there was nothing to lose.

ALTER TABLE traces ADD COLUMN tiers_agree INTEGER;  -- NULL: fewer than two tiers below the ceiling
ALTER TABLE shadows ADD COLUMN propensity REAL;     -- the chance of being drawn
ALTER TABLE shadows ADD COLUMN loss REAL;           -- 0..1 against the ceiling's answer
ALTER TABLE tallies ADD COLUMN propensity REAL;
ALTER TABLE tallies ADD COLUMN loss REAL;
ALTER TABLE tallies ADD COLUMN why_not TEXT;

CREATE INDEX shadows_by_what_ran ON shadows (ran, task, at);

CREATE VIEW audits_by_task AS
SELECT
  task, lock_digest,
  count(*)                                  AS drawn,
  sum(why_not = 'ceiling')                  AS ceiling_answered,
  sum(loss IS NOT NULL AND why_not = '')    AS audited,
  sum(loss IS NULL)                         AS not_audited,
  sum(loss)                                 AS loss,
  sum(cost_usd)                             AS audit_cost_usd,
  sum(cost_usd IS NULL)                     AS audit_cost_unknown
FROM shadows WHERE ran = 'ceiling' GROUP BY task, lock_digest;
