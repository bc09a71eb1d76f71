-- A shard that is read late begins with what the source still has, and no error tells that there was more. What is known
-- about its beginning decides whether a gap is recorded there. All three times are the source's own.

alter table stream
    add column entered_at timestamptz,
    add column told_at timestamptz;
comment on column stream.entered_at is 'time of the source when the stream was entered; what was trimmed before is not missed';
comment on column stream.told_at is 'time of the source when it last told the stream''s shards';

alter table shard
    add column owed_from timestamptz,
    add column is_orphan boolean not null default false;
comment on column shard.owed_from is 'time of the source from which on its records are to be recorded: when it was made, at the earliest; null: not known';
comment on column shard.is_orphan is 'its parent left the stream before it was ever in the ledger';

alter table shard_activity add column behind_s real not null default 0 check (behind_s >= 0);
comment on column shard_activity.behind_s is 'how old the last record of the last page was, by the source''s clock; 0 when a page brought nothing';
