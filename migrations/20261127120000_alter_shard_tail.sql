-- A child may begin with the last records of its parent again, also under new sequence numbers. Their event ids tell, and
-- they stand in the entries: where the parent's last page begins is all that has to be remembered.

alter table shard add column tail_position bigint check (tail_position >= 0);
comment on column shard.tail_position is 'ledger position of the first record of the last page that had any';
