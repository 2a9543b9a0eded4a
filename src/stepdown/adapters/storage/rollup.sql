-- Sums by day of what the ledger holds (PRAGMA user_version 1), beside it and made from it alone:
-- delete the file and it is made again. `marks` says up to which row of each table it has counted.
--
-- Money is in US dollars, time in seconds. A sum holds what is known; the count beside it says how
-- many it leaves out.

CREATE TABLE marks (
  source  TEXT    NOT NULL PRIMARY KEY,  -- traces, feedback
  counted INTEGER NOT NULL,              -- the last row that is counted
  id      TEXT    NOT NULL               -- its id: another one there means another ledger
) WITHOUT ROWID;

CREATE TABLE days (
  day               TEXT    NOT NULL,    -- in UTC
  task              TEXT    NOT NULL,
  arm               TEXT    NOT NULL,    -- policy, today
  tier              TEXT    NOT NULL,    -- that answered; '' is nobody
  baseline_tier     TEXT    NOT NULL,    -- '' is none
  traces            INTEGER NOT NULL,
  escalated         INTEGER NOT NULL,
  outside           INTEGER NOT NULL,    -- outside the guarantee
  not_matched       INTEGER NOT NULL,    -- the contract
  cost_usd          REAL    NOT NULL,
  cost_unknown      INTEGER NOT NULL,
  both_known        INTEGER NOT NULL,    -- cost and baseline
  both_cost_usd     REAL    NOT NULL,
  both_baseline_usd REAL    NOT NULL,
  latency_s         REAL    NOT NULL,
  PRIMARY KEY (day, task, arm, tier, baseline_tier)
) WITHOUT ROWID;

CREATE TABLE reasons (
  day      TEXT    NOT NULL,
  task     TEXT    NOT NULL,
  kind     TEXT    NOT NULL,             -- escalation, outside
  reason   TEXT    NOT NULL,
  moved_to TEXT    NOT NULL,             -- the tier of an escalation, else ''
  traces   INTEGER NOT NULL,
  PRIMARY KEY (day, task, kind, reason, moved_to)
) WITHOUT ROWID;

CREATE TABLE scores (                    -- what people said, by the day on which they said it
  day   TEXT    NOT NULL,
  task  TEXT    NOT NULL,
  arm   TEXT    NOT NULL,
  n     INTEGER NOT NULL,
  total REAL    NOT NULL,
  PRIMARY KEY (day, task, arm)
) WITHOUT ROWID;

CREATE TABLE counted_only (              -- tasks that store nothing; counted anew as a whole
  day               TEXT    NOT NULL,
  task              TEXT    NOT NULL,
  traces            INTEGER NOT NULL,
  cost_usd          REAL    NOT NULL,
  cost_unknown      INTEGER NOT NULL,
  both_cost_usd     REAL    NOT NULL,
  both_baseline_usd REAL    NOT NULL,
  PRIMARY KEY (day, task)
) WITHOUT ROWID;
