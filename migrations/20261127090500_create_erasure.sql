-- Erasures and holds: what is under way, so that it goes on after a crash. What they are about stands in the sealed bodies
-- of their entries; here are only positions and states.

create table erasure (
    ledger_id integer not null references ledger,
    erasure_id text not null,
    scope text not null check (scope in ('attribute', 'item', 'subject', 'retention')),
    intent_position bigint not null,
    erased_to bigint not null default 0,
    bodies bigint not null default 0,
    done_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, erasure_id)
);
comment on column erasure.erased_to is 'positions of the plan below this were dealt with';
comment on column erasure.bodies is 'bodies that were emptied or changed so far';

create table hold (
    ledger_id integer not null references ledger,
    hold_id text not null,
    scope text not null check (scope in ('item', 'subject')),
    item_token bytea,
    placed_position bigint not null,
    released_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, hold_id),
    check ((scope = 'item') = (item_token is not null))
);
comment on table hold is 'what must not be erased; holds and erasures of a ledger take the same advisory lock';

grant select on erasure, hold to weir_reader, weir_writer, weir_eraser;
grant insert, update on erasure, hold to weir_writer;
grant update (erased_to, bodies) on erasure to weir_eraser;

-- Writes the tables of keys and dead letters anew, so that no page of them holds a key that was destroyed or a payload that
-- was erased: an update leaves the row of before in its page, and a vacuum only marks it free.
create function rewrite_erased() returns void language plpgsql security definer set search_path from current as $$
begin
    cluster segment_key using segment_key_pkey;
    cluster dead_letter using dead_letter_pkey;
end
$$;
revoke execute on function rewrite_erased() from public;
grant execute on function rewrite_erased() to weir_eraser;
