//! The lookup tables of a plugin: by digest, as a version of a route names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_ledger::{DatabaseError, Ledger};
use weir_runtime::{LookupError, LookupTable, Manifest, MissingTables};

/// Digests as hexadecimal digits, by the name that the plugin knows the table by.
pub type TableDigests = BTreeMap<String, String>;

/// Why a plugin cannot be given its tables.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Some are not there.
    #[error(transparent)]
    Missing(#[from] MissingTables),
    /// What is stored is no table.
    #[error("the lookup table {0} cannot be read")]
    Unreadable(String, #[source] LookupError),
    /// Postgres failed.
    #[error("Postgres failed")]
    Database(#[from] DatabaseError),
}

/// The newest tables that a plugin asks for.
///
/// # Errors
///
/// Some were never uploaded, or Postgres failed.
pub async fn newest_tables(ledger: &Ledger, manifest: &Manifest) -> Result<TableDigests, TableError> {
    if manifest.lookups.is_empty() {
        return Ok(TableDigests::new());
    }
    let newest: TableDigests = ledger
        .lookups()
        .await?
        .into_iter()
        .map(|lookup| (lookup.name, hex::encode(lookup.digest)))
        .filter(|(name, _)| manifest.lookups.contains(name))
        .collect();
    let missing = manifest.lookups.iter().filter(|name| !newest.contains_key(*name));
    let missing: Vec<String> = missing.cloned().collect();
    if !missing.is_empty() {
        return Err(MissingTables(missing).into());
    }
    Ok(newest)
}

/// Gives a plugin these tables.
///
/// # Errors
///
/// It asks for others, they are not there, or Postgres failed.
pub async fn give_tables(ledger: &Ledger, manifest: Manifest, digests: &TableDigests) -> Result<Manifest, TableError> {
    let mut tables = BTreeMap::new();
    for (name, digits) in digests {
        let digest = hex::decode(digits).ok().and_then(|digest| digest.try_into().ok());
        let digest = digest.ok_or_else(|| MissingTables(vec![name.clone()]))?;
        let content = ledger.lookup_content(&digest).await?;
        let table = LookupTable::parse(&content).map_err(|error| TableError::Unreadable(name.clone(), error))?;
        tables.insert(name.clone(), Arc::new(table));
    }
    Ok(manifest.with_tables(&tables)?)
}
