-- Dead letters that an operator has sent again, or throws away.

alter table dead_letter add redrive_at timestamptz;
comment on column dead_letter.redrive_at is 'when it was ordered to be sent again; its route takes it over, and the row goes';
create index dead_letter_redrive on dead_letter (ledger_id, route, position) where redrive_at is not null;

grant update (redrive_at), delete on dead_letter to weir_writer;
