-- Changes that are recorded for nobody to see until they were annotated again. While one of an item waits, the item's later
-- changes are withheld too, so what is told of an item is told in order.

create table withheld (
    ledger_id integer not null references ledger,
    position bigint not null check (position >= 0),
    token bytea not null check (octet_length(token) = 16),
    amended_position bigint check (amended_position > position),
    primary key (ledger_id, position)
);
comment on column withheld.token is 'of the item, as in its entry';
comment on column withheld.amended_position is 'of the entry that tells of it; the row goes once its first body is ordered to be erased';

create index withheld_token on withheld (ledger_id, token) where amended_position is null;

grant select on withheld to weir_reader, weir_writer, weir_eraser;
grant insert, delete on withheld to weir_writer;
grant update (amended_position) on withheld to weir_writer;
grant delete on withheld to weir_eraser;

-- What was configured at the intake of a source, whenever that changed: the plugin that annotated its changes, and by which a
-- change that is withheld is annotated again.

create table annotator (
    ledger_id integer not null references ledger,
    source text not null,
    position bigint not null check (position >= 0),
    plugin_digest bytea not null references plugin,
    definition text not null,
    primary key (ledger_id, source, position)
);
comment on column annotator.position is 'of the entry that tells of it; the newest of a source is what annotates again';
comment on column annotator.definition is 'JSON: digest of the configuration as entries have it, actor rule, the plugin''s configuration, its tables';

grant select on annotator to weir_reader, weir_writer, weir_eraser;
grant insert on annotator to weir_writer;
