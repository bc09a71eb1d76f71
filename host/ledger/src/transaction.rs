//! Begins transactions, so that who gives up while one begins leaves none behind.
//!
//! sqlx rolls back what is dropped, but knows of a transaction only once the server has answered its `BEGIN`. Whoever stops
//! waiting for that answer (a time limit, a task that is stopped) would put a connection back into the pool with a
//! transaction open that nobody ends: whoever has it next reads an old picture, and what they write is neither committed nor
//! its locks let go.

use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction. It begins whether or not anybody waits for it, and is rolled back if nobody does.
pub(crate) async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin().await });
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}
