-- Version 2 of the ledger: applied after schema.sql, to a new ledger and to one of version 1.
--
-- When the first piece went out, which arm of a ramp a request was in, and what is kept beside traces: shadow runs, feedback,
-- changes of what is served, and bare counts of tasks that store nothing.

ALTER TABLE traces ADD COLUMN first_byte_s REAL;     -- NULL: the answer was sent whole
ALTER TABLE attempts ADD COLUMN first_token_s REAL;
ALTER TABLE traces ADD COLUMN arm TEXT;       -- policy, today; NULL: all traffic is the policy's
ALTER TABLE traces ADD COLUMN session TEXT;   -- digest of the caller's session id

CREATE TABLE shadows (
  id                TEXT    NOT NULL PRIMARY KEY,
  trace_id          TEXT    NOT NULL,   -- of the request that it ran beside
  task              TEXT    NOT NULL,
  at                TEXT    NOT NULL,
  ran               TEXT    NOT NULL,   -- policy: the policy beside today's model
  lock_digest       TEXT,
  caller_tier       TEXT,
  answered_by       TEXT,
  reason            TEXT    NOT NULL,
  agreed            INTEGER CHECK (agreed IN (0, 1)),  -- NULL: cannot be compared, see why_not
  why_not           TEXT    NOT NULL,
  latency_s         REAL,
  cost_usd          REAL,               -- paid for the shadow run; never in the caller's cost
  policy_usd        REAL,               -- what the policy would have cost in the caller's place
  caller_usd        REAL,
  confidence        REAL,
  outside_guarantee TEXT,
  input_digest      TEXT,
  payload           TEXT    NOT NULL
);

-- The attempts of shadow runs: the columns of `attempts`, apart so that no sum mixes them.
CREATE TABLE shadow_attempts (
  shadow_id          TEXT    NOT NULL REFERENCES shadows (id),
  id                 TEXT    NOT NULL,
  number             INTEGER NOT NULL,
  tier               TEXT    NOT NULL,
  kind               TEXT    NOT NULL,
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
  signals            TEXT    NOT NULL,
  confidence         REAL,
  threshold          REAL,
  decision           TEXT    NOT NULL,
  reason             TEXT    NOT NULL,
  failure            TEXT,
  failure_detail     TEXT,
  tier_digest        TEXT    NOT NULL,
  recorded           INTEGER NOT NULL CHECK (recorded IN (0, 1)),
  first_token_s      REAL,
  PRIMARY KEY (shadow_id, id)
) WITHOUT ROWID;

CREATE TABLE feedback (
  id       TEXT NOT NULL PRIMARY KEY,   -- follows from the key, else from the content
  trace_id TEXT NOT NULL,
  task     TEXT NOT NULL,
  at       TEXT NOT NULL,
  score    REAL,
  label    TEXT,
  comment  TEXT,
  by       TEXT NOT NULL,
  payload  TEXT NOT NULL
);

CREATE TABLE changes (
  id      TEXT NOT NULL PRIMARY KEY,
  at      TEXT NOT NULL,
  by      TEXT NOT NULL,
  what    TEXT NOT NULL,                -- share, rollback, lock
  task    TEXT,
  before  TEXT NOT NULL,
  after   TEXT NOT NULL,
  payload TEXT NOT NULL
);

-- One row a request of a task with store = "none". The random id keeps rows in no order.
CREATE TABLE tallies (
  id                TEXT    NOT NULL PRIMARY KEY,
  task              TEXT    NOT NULL,
  at                TEXT    NOT NULL,   -- the hour
  kind              TEXT    NOT NULL,   -- answer, shadow
  answered_by       TEXT,
  escalated         INTEGER NOT NULL CHECK (escalated IN (0, 1)),
  guarantee         TEXT    NOT NULL,
  outside_guarantee TEXT,
  arm               TEXT,
  agreed            INTEGER CHECK (agreed IN (0, 1)),
  latency_s         REAL,
  cost_usd          REAL,
  baseline_usd      REAL,
  payload           TEXT    NOT NULL
) WITHOUT ROWID;

CREATE INDEX shadows_by_task ON shadows (task, at);
CREATE INDEX feedback_by_trace ON feedback (trace_id);
CREATE INDEX feedback_by_task ON feedback (task, at);
CREATE INDEX changes_by_time ON changes (at, id);

CREATE TRIGGER shadows_never_change BEFORE UPDATE ON shadows
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER shadows_never_go BEFORE DELETE ON shadows
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER shadows_first_wins BEFORE INSERT ON shadows
WHEN EXISTS (SELECT 1 FROM shadows WHERE id = NEW.id)
BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER shadow_attempts_never_change BEFORE UPDATE ON shadow_attempts
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER shadow_attempts_never_go BEFORE DELETE ON shadow_attempts
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER feedback_never_changes BEFORE UPDATE ON feedback
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER feedback_never_goes BEFORE DELETE ON feedback
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER feedback_first_wins BEFORE INSERT ON feedback
WHEN EXISTS (SELECT 1 FROM feedback WHERE id = NEW.id)
BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER changes_never_change BEFORE UPDATE ON changes
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER changes_never_go BEFORE DELETE ON changes
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER tallies_never_change BEFORE UPDATE ON tallies
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER tallies_never_go BEFORE DELETE ON tallies
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE VIEW agreement_by_task AS
SELECT
  task, lock_digest,
  count(*)                       AS shadows,
  sum(agreed)                    AS agreed,
  sum(agreed = 0)                AS disagreed,
  sum(agreed IS NULL)            AS not_comparable,
  sum(cost_usd)                  AS shadow_cost_usd,
  sum(cost_usd IS NULL)          AS shadow_cost_unknown,
  sum(policy_usd)                AS policy_usd,
  sum(caller_usd)                AS caller_usd
FROM shadows WHERE ran = 'policy' GROUP BY task, lock_digest;

CREATE VIEW spend_by_arm AS
SELECT
  task, coalesce(arm, 'policy')                        AS arm,
  count(*)                                             AS traces,
  sum(escalated)                                       AS escalated,
  sum(outside_guarantee IS NOT NULL)                   AS outside_guarantee,
  sum(cost_usd)                                        AS cost_usd,
  sum(cost_usd IS NULL)                                AS cost_unknown,
  avg(latency_s)                                       AS mean_latency_s
FROM traces GROUP BY task, coalesce(arm, 'policy');

CREATE VIEW tallies_by_task AS
SELECT
  task, kind, answered_by,
  count(*)                           AS requests,
  sum(outside_guarantee IS NOT NULL) AS outside_guarantee,
  sum(agreed)                        AS agreed,
  sum(agreed = 0)                    AS disagreed,
  sum(cost_usd)                      AS cost_usd,
  sum(cost_usd IS NULL)              AS cost_unknown,
  sum(baseline_usd)                  AS baseline_usd
FROM tallies GROUP BY task, kind, answered_by;
