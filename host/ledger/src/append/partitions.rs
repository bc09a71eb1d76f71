//! Keeps partitions of `entry` ahead of the appends.

use crate::Ledger;

/// Positions per partition of `entry`, as `ensure_entry_partitions` makes them.
const POSITIONS_PER_PARTITION: i64 = 1 << 20;

impl Ledger {
    /// Makes the partition that this append reaches into, and the next, unless that is known to have been done.
    pub(super) async fn ensure_partitions(&self, count: usize) -> sqlx::Result<()> {
        let size = i64::try_from(*self.shared.size.borrow()).expect("positions are below 2^63");
        let wanted = size + i64::try_from(count).expect("a batch is small");
        let mut partitioned_to = self.shared.partitioned_to.lock().await;
        // The next partition is there before the first row of this one: whoever appends beside us knows a smaller size.
        if wanted + POSITIONS_PER_PARTITION >= *partitioned_to {
            sqlx::query!("select ensure_entry_partitions($1, $2)", self.shared.id, wanted)
                .fetch_one(&self.shared.pool)
                .await?;
            *partitioned_to = (wanted / POSITIONS_PER_PARTITION + 2) * POSITIONS_PER_PARTITION;
        }
        Ok(())
    }
}
