-- The tree over the entries, as tiles (C2SP tlog-tiles): full tiles are written in the append that fills them. Proofs are
-- read from here; partial tiles are worked out from the entries and the tiles below.

create table tile (
    ledger_id integer not null references ledger,
    level smallint not null check (level between 0 and 7),
    index bigint not null check (index >= 0),
    hashes bytea not null check (octet_length(hashes) = 8192),
    primary key (ledger_id, level, index)
);
comment on column tile.level is '0 for leaf hashes; a hash in a tile of level n + 1 is the root of a full tile of level n';
comment on column tile.hashes is '256 hashes of 32 bytes';

-- Hashes do not compress: trying to costs time. A tile is a little larger than a page, so it stands beside its row.
alter table tile alter column hashes set storage external;

create function refuse_tile_change() returns trigger language plpgsql as $$
begin
    raise exception 'tiles of a ledger are only ever added' using errcode = 'insufficient_privilege';
end
$$;

create trigger tile_is_append_only before update or delete on tile
    for each row execute function refuse_tile_change();

create trigger tile_is_not_truncated before truncate on tile
    for each statement execute function refuse_tile_change();

grant select on tile to weir_reader, weir_writer, weir_eraser;
grant insert on tile to weir_writer;
