-- The ledger: entries that are only ever added, the head that stands for them, and the keys of their bodies.
--
-- One row of ledger_head is what every append locks, so it is kept small and its page kept half empty: its updates
-- stay on the page. Entries have a primary key and no other index, because each index on a large table costs the
-- append a multiple; search reads tables of its own that can be dropped and built anew.

create table ledger (
    ledger_id integer generated always as identity primary key,
    name text not null unique,
    secret_id text not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on column ledger.secret_id is 'public name of the secret that opens bodies and finds items; the secret itself is kept outside';

create table ledger_head (
    ledger_id integer primary key references ledger,
    size bigint not null check (size >= 0),
    root bytea not null check (octet_length(root) = 32),
    frontier bytea not null check (octet_length(frontier) % 32 = 0)
) with (fillfactor = 30);
comment on column ledger_head.root is 'RFC 6962 root over the entries 0 to size - 1';
comment on column ledger_head.frontier is 'roots of the perfect subtrees of that tree, largest first';

create table body_key_counter (
    ledger_id integer primary key references ledger,
    next_number bigint not null default 0 check (next_number >= 0)
) with (fillfactor = 30);
comment on table body_key_counter is 'body keys are numbered; a worker reserves a run of numbers here before it seals';

create table segment_key (
    ledger_id integer not null references ledger,
    segment bigint not null,
    wrapped bytea not null,
    primary key (ledger_id, segment)
);
comment on column segment_key.wrapped is 'the nodes from which the body keys of this segment are derived, sealed under the ledger''s secret';

create table entry (
    ledger_id integer not null,
    position bigint not null check (position >= 0),
    lane smallint check (lane between 0 and 255),
    body_key bigint not null,
    entry bytea not null,
    body bytea,
    primary key (ledger_id, position)
) partition by range (ledger_id, position);
comment on column entry.lane is 'class of the item that decides which worker routes it; null where the entry is about no item';
comment on column entry.body_key is 'number of the key that sealed the body';
comment on column entry.entry is 'canonical JSON; these bytes are hashed';
comment on column entry.body is 'sealed; null once erased';

-- Both are incompressible or small: trying to compress them only costs time.
alter table entry alter column entry set storage external;
alter table entry alter column body set storage external;

create function refuse_entry_change() returns trigger language plpgsql as $$
begin
    raise exception 'entries of a ledger are only ever added' using errcode = 'insufficient_privilege';
end
$$;

create trigger entry_is_append_only before update or delete on entry
    for each row execute function refuse_entry_change();

create trigger entry_is_not_truncated before truncate on entry
    for each statement execute function refuse_entry_change();

-- Makes the partitions that hold positions up to `wanted`, and the one after them. A partition is made beside the
-- parent and attached, because creating it in place would lock readers and writers out.
create function ensure_entry_partitions(wanted_ledger integer, wanted bigint) returns void
    language plpgsql security definer set search_path from current as $$
declare
    positions_per_partition constant bigint := 1048576;
    partition bigint;
    partition_name text;
begin
    for partition in 0 .. wanted / positions_per_partition + 1 loop
        partition_name := format('entry_%s_%s', wanted_ledger, partition);
        continue when to_regclass(partition_name) is not null;
        -- Not an advisory lock: only a table's lock makes what another process has just committed visible below.
        lock table entry in share update exclusive mode;
        continue when to_regclass(partition_name) is not null;
        execute format('create table %I (like entry including all)', partition_name);
        execute format(
            'create trigger entry_is_not_truncated before truncate on %I for each statement execute function refuse_entry_change()',
            partition_name
        );
        execute format(
            'alter table entry attach partition %I for values from (%s, %s) to (%s, %s)',
            partition_name,
            wanted_ledger, partition * positions_per_partition,
            wanted_ledger, (partition + 1) * positions_per_partition
        );
    end loop;
end
$$;
