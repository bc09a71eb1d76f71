//! Parked deliveries: what waits behind its item, while the route goes on.
//!
//! # Invariants
//!
//! - A row names a delivery and holds nothing of what is sent: that is made again from the ledger, to the same bytes, as long as
//!   the body of the change exists.
//! - A row is written in the transaction that moves the cursor across its position, and goes in one that is guarded by the same
//!   epoch.

mod row;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use weir_model::Position;

use self::row::{Columns, StoredParked, read_token, stored_number};
use crate::head::unreadable;
use crate::{Ledger, Partition, TokenBytes, from_stored, in_time, to_stored};

/// A delivery that waits behind its item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Id of the delivery.
    pub delivery: String,
    /// Route that it is on.
    pub route: String,
    /// Version of that route.
    pub version: u32,
    /// The change.
    pub position: Position,
    /// Number of the output that the version made of it; 0 is the change as it is.
    pub output: u32,
    /// Sink that it goes to.
    pub sink: String,
    /// Token of the item.
    pub token: TokenBytes,
    /// How often it was tried; `None` for what only stands behind another.
    pub tried: Option<Tried>,
    /// Name of the replay that sends it as new.
    pub as_new: Option<String>,
}

/// What became of a parked delivery so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// How often it was sent.
    pub attempts: u32,
    /// How often the sink answered that it does not take it.
    pub failures: u32,
    /// When that happened first.
    pub failed_at: Timestamp,
    /// When it is sent again.
    pub due_at: Timestamp,
}

/// Where a parked delivery stands among all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedPlace {
    /// The change.
    pub position: Position,
    /// Number of the output.
    pub output: u32,
    /// The route.
    pub route: String,
    /// The sink.
    pub sink: String,
    /// Its id.
    pub delivery: String,
}

/// What is parked of one item at one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedItem {
    /// The sink.
    pub sink: String,
    /// Token of the item.
    pub token: TokenBytes,
    /// Deliveries.
    pub count: usize,
    /// When the first of them is sent again; `None` for at once.
    pub due_at: Option<Timestamp>,
}

/// What is parked of one route at one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedAtSink {
    /// The route.
    pub route: String,
    /// The sink.
    pub sink: String,
    /// Deliveries.
    pub deliveries: u64,
    /// Items.
    pub items: u64,
    /// The lowest position among them.
    pub oldest: Position,
}

impl Ledger {
    /// The items of a partition that have something parked.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn parked_items(&self, partition: &Partition) -> sqlx::Result<Vec<ParkedItem>> {
        let (first_lane, last_lane) = partition.lanes();
        let rows = sqlx::query!(
            r#"
            select sink, token, count(*) as "count!",
                (array_agg(due_at order by position, output))[1] as "due_at: StoredTimestamp"
            from parked
            where ledger_id = $1 and route = $2 and ($3 or (
                select lane from entry where entry.ledger_id = $1 and entry.position = parked.position
            ) between $4 and $5)
            group by sink, token
            "#,
            self.shared.id,
            partition.route,
            partition.is_whole(),
            first_lane,
            last_lane,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        rows.into_iter()
            .map(|row| {
                Ok(ParkedItem {
                    sink: row.sink,
                    token: read_token(row.token)?,
                    count: usize::try_from(row.count).map_err(|_| unreadable("count"))?,
                    due_at: row.due_at.map(StoredTimestamp::to_jiff),
                })
            })
            .collect()
    }

    /// The first deliveries that are parked of these items at a sink, at most `count_max` of each, in order for each item.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn parked_of(
        &self,
        route: &str,
        sink: &str,
        tokens: &[TokenBytes],
        count_max: u16,
    ) -> sqlx::Result<Vec<Parked>> {
        let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.to_vec()).collect();
        let rows = sqlx::query_as!(
            StoredParked,
            r#"
            select parked.delivery, parked.route, parked.sink, parked.token, parked.position, parked.output, parked.version,
                parked.attempts, parked.failures, parked.as_new, parked.failed_at as "failed_at: _", parked.due_at as "due_at: _"
            from unnest($4::bytea[]) as wanted (token)
            cross join lateral (
                select *
                from parked
                where ledger_id = $1 and route = $2 and sink = $3 and parked.token = wanted.token
                order by position, output
                limit $5
            ) as parked
            order by parked.position, parked.output
            "#,
            self.shared.id,
            route,
            sink,
            &tokens,
            i64::from(count_max),
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        rows.into_iter().map(StoredParked::read).collect()
    }

    /// Lists at most `count_max` parked deliveries behind a place, in order of place.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn parked(
        &self,
        route: Option<&str>,
        after: Option<&ParkedPlace>,
        count_max: u16,
    ) -> sqlx::Result<Vec<Parked>> {
        let nowhere = ParkedPlace::default();
        let is_first = after.is_none();
        let after = after.unwrap_or(&nowhere);
        let rows = sqlx::query_as!(
            StoredParked,
            r#"
            select delivery, route, sink, token, position, output, version, attempts, failures, as_new,
                failed_at as "failed_at: _", due_at as "due_at: _"
            from parked
            where ledger_id = $1 and ($2::text is null or route = $2)
                and ($4 or (position, output, route, sink, delivery) > ($5, $6, $7, $8, $9))
            order by position, output, parked.route, sink, delivery
            limit $3
            "#,
            self.shared.id,
            route,
            i64::from(count_max),
            is_first,
            to_stored(after.position),
            stored_number(after.output, "output")?,
            after.route,
            after.sink,
            after.delivery,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        rows.into_iter().map(StoredParked::read).collect()
    }

    /// What is parked of one position on a route, at most `count_max`.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn parked_at(&self, route: &str, position: Position, count_max: u16) -> sqlx::Result<Vec<Parked>> {
        let rows = sqlx::query_as!(
            StoredParked,
            r#"
            select delivery, route, sink, token, position, output, version, attempts, failures, as_new,
                failed_at as "failed_at: _", due_at as "due_at: _"
            from parked
            where ledger_id = $1 and route = $2 and position = $3
            order by output, sink
            limit $4
            "#,
            self.shared.id,
            route,
            to_stored(position),
            i64::from(count_max),
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        rows.into_iter().map(StoredParked::read).collect()
    }

    /// How much is parked, for each route and sink where anything is.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn parked_at_sinks(&self) -> sqlx::Result<Vec<ParkedAtSink>> {
        let rows = sqlx::query!(
            r#"
            select route, sink, count(*) as "deliveries!", count(distinct token) as "items!", min(position) as "oldest!"
            from parked
            where ledger_id = $1
            group by route, sink
            order by route, sink
            "#,
            self.shared.id,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?.into_iter();
        let counted = rows.map(|row| ParkedAtSink {
            route: row.route,
            sink: row.sink,
            deliveries: row.deliveries.cast_unsigned(),
            items: row.items.cast_unsigned(),
            oldest: from_stored(row.oldest),
        });
        Ok(counted.collect())
    }

    pub(crate) async fn insert_parked(&self, conn: &mut PgConnection, parked: &[Parked]) -> sqlx::Result<()> {
        let mut columns = Columns::default();
        for delivery in parked {
            columns.push(delivery)?;
        }
        sqlx::query!(
            "
            insert into parked
                (ledger_id, delivery, route, sink, token, position, output, version, attempts, failures, failed_at, due_at,
                as_new)
            select $1, *
            from unnest(
                $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::integer[], $8::integer[], $9::integer[],
                $10::integer[], $11::timestamptz[], $12::timestamptz[], $13::text[]
            )
            on conflict do nothing
            ",
            self.shared.id,
            &columns.delivery,
            &columns.route,
            &columns.sink,
            &columns.token,
            &columns.position,
            &columns.output,
            &columns.version,
            &columns.attempts,
            &columns.failures,
            &columns.failed_at as &[Option<StoredTimestamp>],
            &columns.due_at as &[Option<StoredTimestamp>],
            &columns.as_new as &[Option<String>],
        )
        .execute(conn)
        .await?;
        Ok(())
    }

    pub(crate) async fn update_parked(&self, conn: &mut PgConnection, tried: &[(String, Tried)]) -> sqlx::Result<()> {
        for (delivery, tried) in tried {
            sqlx::query!(
                "
                update parked
                set attempts = $3, failures = $4, failed_at = $5, due_at = $6
                where ledger_id = $1 and delivery = $2
                ",
                self.shared.id,
                delivery,
                tried.attempts.cast_signed(),
                tried.failures.cast_signed(),
                tried.failed_at.to_sqlx() as StoredTimestamp,
                tried.due_at.to_sqlx() as StoredTimestamp,
            )
            .execute(&mut *conn)
            .await?;
        }
        Ok(())
    }

    pub(crate) async fn delete_parked(&self, conn: &mut PgConnection, deliveries: &[String]) -> sqlx::Result<()> {
        sqlx::query!(
            "delete from parked where ledger_id = $1 and delivery = any($2)",
            self.shared.id,
            deliveries,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
