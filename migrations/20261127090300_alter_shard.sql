-- A shard's records are accounted for by `batch` entries, one a second and shard at most. What was recorded since the last
-- one waits here, in the row that every append locks anyway. All null: no batch is open.

alter table shard
    add column batch_after text,
    add column batch_first text,
    add column batch_last text,
    add column batch_read bigint not null default 0 check (batch_read >= 0),
    add column batch_recorded bigint not null default 0 check (batch_recorded between 0 and batch_read),
    add column batch_redacted bigint not null default 0 check (batch_redacted between 0 and batch_recorded),
    add column batch_config bytea check (octet_length(batch_config) = 16),
    add column batch_epoch bigint,
    add column batch_opened_at timestamptz,
    add constraint batch_is_open_or_not check (num_nulls(batch_after, batch_config, batch_epoch, batch_opened_at) in (0, 4)),
    add constraint batch_has_both_ends check (num_nulls(batch_first, batch_last) in (0, 2));
comment on column shard.batch_after is 'where the open batch begins: a sequence number, start, or gap';
comment on column shard.batch_epoch is 'epoch of the worker that opened the batch';
