//! Notes what is withheld, in the transaction that records it.

use sqlx::PgConnection;

use super::SealedRecord;
use crate::Ledger;

impl Ledger {
    /// Enters those of these records, each with its position, that are withheld.
    pub(super) async fn withhold(
        &self,
        conn: &mut PgConnection,
        records: impl Iterator<Item = (u64, &SealedRecord)>,
    ) -> sqlx::Result<()> {
        let withheld = records.filter_map(|(position, record)| {
            let item = record.item.filter(|item| item.is_withheld)?;
            Some((position.cast_signed(), item.token.to_vec()))
        });
        let (positions, tokens): (Vec<i64>, Vec<Vec<u8>>) = withheld.unzip();
        if positions.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "
            insert into withheld (ledger_id, position, token)
            select $1, * from unnest($2::bigint[], $3::bytea[])
            ",
            self.shared.id,
            &positions,
            &tokens,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
