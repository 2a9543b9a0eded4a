-- The ledger of Stepdown, version 1 (PRAGMA user_version). Append-only: rows are never changed.
--
-- Money is in US dollars and time in seconds. NULL means unknown and never zero: a sum over a
-- column leaves the unknown out, so count them (the views below do). Booleans are 0 or 1. Times
-- are ISO 8601 texts. `payload` is the whole trace as JSON, answers included, and is what the
-- program reads back; the other columns are for people and their SQL tools.

CREATE TABLE traces (
  id                TEXT    NOT NULL PRIMARY KEY,
  task              TEXT    NOT NULL,
  at                TEXT    NOT NULL,
  answered_by       TEXT,               -- NULL: abstained, a person must answer
  reason            TEXT    NOT NULL,
  escalated         INTEGER NOT NULL CHECK (escalated IN (0, 1)),
  calls             INTEGER NOT NULL,   -- tiers called, without signals bought
  latency_s         REAL    NOT NULL,
  cost_usd          REAL,               -- NULL when any part of it is unknown
  baseline_tier     TEXT,
  baseline_usd      REAL,
  guarantee         TEXT    NOT NULL,   -- certified, declared, ceiling, withdrawn, none
  outside_guarantee TEXT,               -- why this trace is not covered, NULL when it is
  contract_matched  INTEGER NOT NULL CHECK (contract_matched IN (0, 1)),
  confidence        REAL,
  lock_digest       TEXT,
  message_id        TEXT,
  step              TEXT,
  payload           TEXT    NOT NULL
);

CREATE TABLE attempts (
  trace_id           TEXT    NOT NULL REFERENCES traces (id),
  id                 TEXT    NOT NULL,
  number             INTEGER NOT NULL,
  tier               TEXT    NOT NULL,
  kind               TEXT    NOT NULL,  -- call, buy, polish
  why                TEXT    NOT NULL,
  started_at         TEXT    NOT NULL,
  latency_s          REAL,
  cost_usd           REAL,
  cost_basis         TEXT    NOT NULL,
  input_tokens       INTEGER,
  output_tokens      INTEGER,
  cached_tokens      INTEGER,
  cache_write_tokens INTEGER,
  reasoning_tokens   INTEGER,
  tokens_estimated   INTEGER NOT NULL CHECK (tokens_estimated IN (0, 1)),
  signals            TEXT    NOT NULL,  -- JSON object; a null in it is a signal not available
  confidence         REAL,
  threshold          REAL,
  decision           TEXT    NOT NULL,
  reason             TEXT    NOT NULL,
  failure            TEXT,
  failure_detail     TEXT,
  tier_digest        TEXT    NOT NULL,
  recorded           INTEGER NOT NULL CHECK (recorded IN (0, 1)),
  PRIMARY KEY (trace_id, id)
) WITHOUT ROWID;

CREATE INDEX traces_by_time ON traces (at, id);
CREATE INDEX traces_by_task ON traces (task, at);
CREATE INDEX traces_by_message ON traces (message_id) WHERE message_id IS NOT NULL;

CREATE TRIGGER traces_never_change BEFORE UPDATE ON traces
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER traces_never_go BEFORE DELETE ON traces
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER attempts_never_change BEFORE UPDATE ON attempts
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER attempts_never_go BEFORE DELETE ON attempts
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
-- INSERT OR REPLACE deletes without firing the triggers above; the first row wins instead.
CREATE TRIGGER traces_first_wins BEFORE INSERT ON traces
WHEN EXISTS (SELECT 1 FROM traces WHERE id = NEW.id)
BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER attempts_first_wins BEFORE INSERT ON attempts
WHEN EXISTS (SELECT 1 FROM attempts WHERE trace_id = NEW.trace_id AND id = NEW.id)
BEGIN SELECT RAISE(IGNORE); END;

-- Sums hold what is known; the counts beside them say how many traces they leave out. `both_*`
-- holds only the traces whose cost and baseline are both known: compare these two sums.
CREATE VIEW spend_by_task AS
SELECT
  task,
  count(*)                                             AS traces,
  sum(answered_by IS NULL)                             AS abstained,
  sum(escalated)                                       AS escalated,
  sum(contract_matched = 0)                            AS contract_not_matched,
  sum(outside_guarantee IS NOT NULL)                   AS outside_guarantee,
  sum(cost_usd)                                        AS cost_usd,
  sum(cost_usd IS NULL)                                AS cost_unknown,
  sum(baseline_usd)                                    AS baseline_usd,
  sum(baseline_usd IS NULL)                            AS baseline_unknown,
  sum(cost_usd IS NOT NULL AND baseline_usd IS NOT NULL) AS both_known,
  sum(CASE WHEN baseline_usd IS NOT NULL THEN cost_usd END) AS both_cost_usd,
  sum(CASE WHEN cost_usd IS NOT NULL THEN baseline_usd END) AS both_baseline_usd,
  avg(latency_s)                                       AS mean_latency_s,
  min(at)                                              AS first_at,
  max(at)                                              AS last_at
FROM traces GROUP BY task;

CREATE VIEW kept_by_tier AS
SELECT
  task,
  answered_by                                                  AS tier,
  count(*)                                                     AS traces,
  1.0 * count(*) / sum(count(*)) OVER (PARTITION BY task)      AS share,
  avg(latency_s)                                               AS mean_latency_s,
  sum(cost_usd)                                                AS cost_usd,
  sum(cost_usd IS NULL)                                        AS cost_unknown
FROM traces GROUP BY task, answered_by;

CREATE VIEW attempts_by_tier AS
SELECT
  t.task, a.tier, a.kind,
  count(*)                      AS attempts,
  sum(a.failure IS NOT NULL)    AS failed,
  sum(a.recorded)               AS recorded,
  sum(a.cost_usd)               AS cost_usd,
  sum(a.cost_usd IS NULL)       AS cost_unknown,
  sum(a.input_tokens)           AS input_tokens,
  sum(a.output_tokens)          AS output_tokens,
  sum(a.input_tokens IS NULL OR a.output_tokens IS NULL) AS tokens_unknown,
  avg(a.latency_s)              AS mean_latency_s,
  sum(a.latency_s IS NULL)      AS latency_unknown
FROM attempts AS a JOIN traces AS t ON t.id = a.trace_id
GROUP BY t.task, a.tier, a.kind;

CREATE VIEW escalations_by_reason AS
SELECT t.task, a.why AS reason, a.tier AS moved_to, count(*) AS attempts
FROM attempts AS a JOIN traces AS t ON t.id = a.trace_id
WHERE a.kind = 'call' AND EXISTS (
  SELECT 1 FROM attempts AS b
  WHERE b.trace_id = a.trace_id AND b.kind = 'call' AND b.number < a.number
)
GROUP BY t.task, a.why, a.tier;

CREATE VIEW spend_by_message AS
SELECT
  message_id,
  count(*)              AS traces,
  sum(cost_usd)         AS cost_usd,
  sum(cost_usd IS NULL) AS cost_unknown,
  sum(latency_s)        AS latency_s
FROM traces WHERE message_id IS NOT NULL GROUP BY message_id;
