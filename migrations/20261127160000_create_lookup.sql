-- Tables that operators upload and plugins look things up in. A version of a route names those that it uses by digest, so
-- what a plugin finds at a position is the same whenever it is asked.

create table lookup_table (
    digest bytea primary key check (octet_length(digest) = 32),
    content text not null
);
comment on column lookup_table.digest is 'SHA-256 of the content';
comment on column lookup_table.content is 'JSON: an object, its names sorted, without white space';

create table lookup_upload (
    ledger_id integer not null references ledger,
    name text not null,
    position bigint not null check (position >= 0),
    digest bytea not null references lookup_table,
    keys bigint not null check (keys >= 0),
    uploaded_at timestamptz not null,
    primary key (ledger_id, name, position)
);
comment on column lookup_upload.position is 'of the entry that tells of the upload; the newest of a name is what is used next';

grant select on lookup_table, lookup_upload to weir_reader, weir_writer, weir_eraser;
grant insert on lookup_table, lookup_upload to weir_writer;
