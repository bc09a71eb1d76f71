-- A child may begin with more of its parent's records than the parent's last page had. Among a thousand shards the entries
-- before that page are those of others, so each shard remembers where its own last pages stand.

alter table shard add column tail_pages bigint[] not null default '{}';
update shard set tail_pages = array[tail_position, 1000] where tail_position is not null;
alter table shard drop column tail_position;
comment on column shard.tail_pages is 'where the last pages with records stand, the last one first: ledger position of the first record, count, and so on';
