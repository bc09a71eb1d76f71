-- Finds the entries of one item. A consumer of the ledger fills it; it can be emptied and filled again at any time,
-- and nothing that it says is shown before the entry itself was checked.

create table item_index (
    ledger_id integer not null references ledger,
    token bytea not null check (octet_length(token) = 16),
    position bigint not null,
    primary key (ledger_id, token, position)
);
