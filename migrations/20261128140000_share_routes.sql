-- Processes share a route: each of its partitions, a range of lanes, has a cursor of its own and a worker that moves it.

alter table consumer
    add column worker_id bigint references worker on delete set null,
    add column wanted_by bigint references worker on delete set null;
comment on column consumer.name is '`index`, or a partition of a route: `route:<name>`, or `route:<name>/<first lane>-<last lane>` where there are several';
comment on column consumer.worker_id is 'who routes it; null, or a worker whose heartbeat stopped: it is free';
comment on column consumer.wanted_by is 'who asks its worker to hand it over; ignored once the asker''s heartbeat stopped';
grant delete on consumer to weir_writer;

-- Work is shared among those that are configured for it.
alter table worker add column works_at text[] not null default '{}';
alter table worker add column process text;
comment on column worker.process is 'boot, PID namespace, number and begin of its process, where known: who runs on the same machine sees when it is gone';
comment on column worker.works_at is 'what it is configured for: `source:<name>`, `route:<name>`';

-- The partitions of a route get through its replay each in its own time.
alter table replay add column next_positions bigint[];
update replay set next_positions = array_fill(next_position, array[256]);
alter table replay
    alter column next_positions set not null,
    add check (cardinality(next_positions) = 256);
comment on column replay.next_positions is 'by lane: everything of the range below this was dealt with';
comment on column replay.next_position is 'the lowest of them; the row goes with the last of the range';
grant update (next_positions) on replay to weir_writer;

-- Each worker that routes knows its own state of a sink.
delete from sink_state;
alter table sink_state
    drop constraint sink_state_pkey,
    add column worker_id bigint not null references worker on delete cascade,
    add primary key (ledger_id, sink, worker_id);
comment on column sink_state.state is 'of its circuit breaker, as this worker saw it last: open sends nothing';
