-- Lists are in this order, a page at a time: without it each page sorts all that there are.
create index dead_letter_by_place on dead_letter (ledger_id, position, delivery);
