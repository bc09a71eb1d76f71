-- Nobody but the index's consumer writes it, for the ledger that it was opened for: looking that ledger up for each row
-- cost a quarter of entering it. Dropping it locks `ledger` for a moment, too: not beside a dump.
alter table item_index drop constraint item_index_ledger_id_fkey;
