//! What is derived from the entries, and held against them: tiles, checkpoints, the head's edge, where shards stand, and
//! what keeps entries append-only.

use std::collections::BTreeMap;

use weir_evidence::{BatchAfter, Origin, SignatureCheck, SignedCheckpoint, Tile, TileId, VerifierKey};
use weir_model::{SequenceNumber, ShardId, StreamArn};

use super::{Run, VerificationFinding, VerifyError};
use crate::head::unreadable;
use crate::shard::read_position;
use crate::{Head, Ledger, from_stored};

impl Ledger {
    pub(super) async fn head_and_frontier(&self) -> sqlx::Result<(Head, Vec<u8>)> {
        let row = sqlx::query!(
            "select size, root, frontier from ledger_head where ledger_id = $1",
            self.shared.id
        )
        .fetch_one(&self.shared.pool)
        .await?;
        let head = Head {
            size: from_stored(row.size).0,
            root: row.root.try_into().map_err(|_| unreadable("root"))?,
        };
        Ok((head, row.frontier))
    }

    /// Whether changes of the schema leave a mark: that takes an event trigger, which only a superuser may make.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn is_schema_watched(&self) -> sqlx::Result<bool> {
        sqlx::query_scalar!(r#"select exists (select from schema_watch) as "exists!""#)
            .fetch_one(&self.shared.pool)
            .await
    }

    /// What is missing of what keeps entries append-only, and what was done about it by whom.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn append_only_faults(&self) -> sqlx::Result<Vec<String>> {
        let mut faults = sqlx::query_scalar!(r#"select append_only_faults() as "fault!""#)
            .fetch_all(&self.shared.pool)
            .await?;
        let incidents = sqlx::query!(
            r#"
            select min(happened_at) as "since!: jiff_sqlx::Timestamp", database_user, statement, fault
            from schema_incident
            group by database_user, statement, fault
            order by 1
            limit 20
            "#,
        )
        .fetch_all(&self.shared.pool)
        .await?;
        faults.extend(incidents.into_iter().map(|incident| {
            let (since, user) = (incident.since.to_jiff(), incident.database_user);
            format!("{since}: {user} ran {:?}, and {}", incident.statement, incident.fault)
        }));
        Ok(faults)
    }
}

impl Run<'_> {
    pub(super) async fn read_keys(&mut self) -> sqlx::Result<()> {
        self.keys.clear();
        for vkey in self.ledger.verifier_keys().await? {
            match VerifierKey::parse(&vkey) {
                Ok(key) => self.keys.push(key),
                Err(_) => {
                    let finding = VerificationFinding::VerifierKey { vkey };
                    if !self.findings.contains(&finding) {
                        self.findings.push(finding);
                    }
                }
            }
        }
        Ok(())
    }

    /// A checkpoint must be of the tree as it was at its size, and carry good signatures of known keys and no others.
    pub(super) async fn check_checkpoint(&mut self, size: u64, note: &str) -> sqlx::Result<()> {
        self.checkpoints += 1;
        let what = match SignedCheckpoint::parse(note.as_bytes()) {
            Err(error) => Some(format!("cannot be read: {error}")),
            Ok(signed) if signed.checkpoint().size != size => Some("is over another number of entries".to_owned()),
            Ok(signed) if signed.checkpoint().root != self.verifier.frontier().root() => {
                Some("has another root than the entries".to_owned())
            }
            Ok(signed) if self.is_well_signed(&signed) => None,
            Ok(signed) => {
                // The key of whoever began to sign after this began is noted before what it signs.
                self.read_keys().await?;
                (!self.is_well_signed(&signed)).then(|| "has a signature that was changed".to_owned())
            }
        };
        if let Some(what) = what {
            self.findings.push(VerificationFinding::Checkpoint { size, what });
        }
        Ok(())
    }

    /// Whether each signature is good and of a known key, and one is the log's.
    fn is_well_signed(&self, signed: &SignedCheckpoint) -> bool {
        let note = signed.note();
        let mut signatures = note.signatures().iter();
        let all_good = signatures.all(|line| {
            let mut keys = self.keys.iter();
            keys.any(|key| line.is_of(key) && line.verifies(key, note.text()))
        });
        let mut log_keys = self.keys.iter().filter(|key| key.name() == signed.checkpoint().origin);
        all_good && log_keys.any(|key| note.check_signature(key) == SignatureCheck::Valid)
    }

    pub(super) async fn check_tiles(&mut self, tiles: &[Tile]) -> sqlx::Result<()> {
        if tiles.is_empty() {
            return Ok(());
        }
        let levels: Vec<i16> = tiles.iter().map(|tile| i16::from(tile.id.level)).collect();
        let indexes: Vec<i64> = tiles.iter().map(|tile| tile.id.index.cast_signed()).collect();
        let stored = sqlx::query!(
            "
            select level, index, hashes
            from tile
            where ledger_id = $1 and (level, index) in (select * from unnest($2::smallint[], $3::bigint[]))
            ",
            self.ledger.shared.id,
            &levels,
            &indexes,
        )
        .fetch_all(&self.ledger.shared.pool)
        .await?;
        let id = |level: i16, index: i64| TileId {
            level: u8::try_from(level).unwrap_or(u8::MAX),
            index: index.cast_unsigned(),
        };
        let stored: BTreeMap<TileId, Vec<u8>> = stored
            .into_iter()
            .map(|row| (id(row.level, row.index), row.hashes))
            .collect();
        for tile in tiles {
            let TileId { level, index } = tile.id;
            let what = match stored.get(&tile.id) {
                None => "missing",
                Some(hashes) if *hashes != tile.hashes.as_flattened() => "not what the entries make",
                Some(_) => continue,
            };
            self.findings.push(VerificationFinding::Tile { level, index, what });
        }
        Ok(())
    }

    /// What can be checked only once every entry was seen.
    pub(super) async fn check_derived(&mut self, frontier: &[u8]) -> Result<(), VerifyError> {
        let computed = self.verifier.frontier().to_bytes();
        let is_the_tree = self.verifier.size() == self.head.size && self.verifier.frontier().root() == self.head.root;
        if is_the_tree && computed != frontier {
            self.findings.push(VerificationFinding::Frontier);
        }
        let (newer, tiles) = self.behind_head().await?;
        // Entries of appends that were committed meanwhile stand behind the head that we began with, not behind the one
        // that is there now.
        if let Some(position) = newer {
            self.findings.push(VerificationFinding::BehindHead { position });
        }
        let expected = (1..8).map(|level| self.head.size >> (8 * level)).sum();
        if tiles < expected {
            self.findings.push(VerificationFinding::TileCount {
                stored: tiles,
                expected,
            });
        }
        self.check_checkpoints_behind_head().await?;
        let faults = self.ledger.append_only_faults().await?;
        self.findings
            .extend(faults.into_iter().map(VerificationFinding::Unguarded));
        Ok(())
    }

    /// The lowest position behind the head as it is now, and the number of tiles that belong to the head we began with.
    async fn behind_head(&self) -> sqlx::Result<(Option<u64>, u64)> {
        let row = sqlx::query!(
            r#"
            select
                (select min(position) from entry where ledger_id = $1 and position >= ledger_head.size) as position,
                (select count(*) from tile where ledger_id = $1 and index < ($2::bigint >> (8 * (level + 1)))) as "tiles!",
                (select count(*) from tile where ledger_id = $1 and index >= (size >> (8 * (level + 1)))) as "too_many!"
            from ledger_head
            where ledger_id = $1
            "#,
            self.ledger.shared.id,
            self.head.size.cast_signed(),
        )
        .fetch_one(&self.ledger.shared.pool)
        .await?;
        let tiles = if row.too_many > 0 { 0 } else { row.tiles.cast_unsigned() };
        Ok((row.position.map(i64::cast_unsigned), tiles))
    }

    /// A checkpoint over more entries than there are: the tail was cut off.
    async fn check_checkpoints_behind_head(&mut self) -> sqlx::Result<()> {
        let now = self.ledger.head().await?;
        let behind = self
            .ledger
            .checkpoints_between(now.size, i64::MAX.cast_unsigned())
            .await?;
        for (size, _) in behind {
            let what = format!(
                "was signed, but only {} entries are there: the rest was cut off",
                now.size
            );
            self.findings.push(VerificationFinding::Checkpoint { size, what });
        }
        Ok(())
    }

    /// Where each shard stands must be where its entries and its open batch end.
    pub(super) async fn check_shards(&mut self) -> Result<(), VerifyError> {
        let rows = sqlx::query!(
            r#"
            select arn, shard, position, finished_at is not null as "finished!", batch_after, batch_last, batch_recorded,
                (select size from ledger_head where ledger_id = $1) as "size!"
            from shard join stream using (stream_id)
            where ledger_id = $1
            order by stream_id, shard
            "#,
            self.ledger.shared.id,
        )
        .fetch_all(&self.ledger.shared.pool)
        .await?;
        for row in rows {
            // The ledger grew meanwhile: its shards stand behind what we saw.
            if row.size.cast_unsigned() != self.head.size {
                return Ok(());
            }
            let origin = Origin {
                stream: StreamArn::parse(row.arn).map_err(|_| unreadable("stream ARN"))?,
                shard: ShardId::parse(row.shard).map_err(|_| unreadable("shard id"))?,
            };
            let account = self.accounts.shard(&origin).cloned().unwrap_or_default();
            let stands = read_position(row.position)?;
            let open_last = read_position(row.batch_last)?;
            let recorded = account.last_sequence().cloned().max(open_last);
            let said =
                |sequence: Option<&SequenceNumber>| sequence.map_or("its beginning".to_owned(), ToString::to_string);
            let mut wrong = Vec::new();
            if stands != recorded {
                wrong.push(format!(
                    "it stands at {}, but was recorded up to {}: what lies between was not recorded",
                    said(stands.as_ref()),
                    said(recorded.as_ref()),
                ));
            }
            let continues = match (row.batch_after.as_deref(), account.last_batch_end()) {
                (None, _) => account.waiting() == 0,
                (Some("gap"), _) => account.has_gap_since(),
                (Some("start"), end) => end.is_none_or(|end| *end == BatchAfter::Start),
                (Some(after), Some(BatchAfter::Record(end))) => after == end.as_str(),
                (Some(_), _) => false,
            };
            if !continues || account.waiting() != row.batch_recorded.cast_unsigned() {
                let ended = match account.last_batch_end() {
                    Some(BatchAfter::Record(sequence)) => format!("which ended at {sequence}"),
                    Some(BatchAfter::Start) => "which ended at its beginning".to_owned(),
                    Some(BatchAfter::Gap) => "which ended at a gap".to_owned(),
                    None => "of which there is none".to_owned(),
                };
                wrong.push(format!(
                    "its open batch begins at {} with {} records, but {} were recorded since the last batch, {ended}",
                    row.batch_after.as_deref().unwrap_or("nothing"),
                    row.batch_recorded,
                    account.waiting(),
                ));
            }
            if row.finished != account.has_ended() {
                let said = if row.finished { "said to be" } else { "not said to be" };
                wrong.push(format!("it is {said} finished, and its entries say otherwise"));
            }
            self.findings
                .extend(wrong.into_iter().map(|what| VerificationFinding::Shard {
                    shard: origin.shard.to_string(),
                    what,
                }));
        }
        Ok(())
    }
}
