-- What all processes of a ledger do, where an operator said so: sources, sinks and routes. Without a row each does what its own file
-- says.

create table configuration (
    ledger_id integer not null references ledger,
    number integer not null check (number >= 1),
    position bigint not null check (position >= 0),
    definition text,
    applied_at timestamptz not null,
    primary key (ledger_id, number)
);
comment on table configuration is 'the one of the highest number counts';
comment on column configuration.position is 'of the entry that says so';
comment on column configuration.definition is 'JSON: source, sink, route, by name, as the configuration file has them; null: what each process''s own file says';
grant select on configuration to weir_reader, weir_writer, weir_eraser;
grant insert on configuration to weir_writer;

alter table worker
    add column configuration integer check (configuration >= 1),
    add column refused integer check (refused >= 1),
    add column refusal text;
comment on column worker.configuration is 'number of the newest configuration that it does, also of one that gave each its own file back; null before there was one';
comment on column worker.refused is 'number of the newest configuration that it cannot do; it goes on with what it did';
comment on column worker.refusal is 'why it cannot';
