//! The filter as a SmartModule.

use fluvio_smartmodule::{Result, SmartModuleRecord, smartmodule};

#[smartmodule(filter)]
pub fn filter(record: &SmartModuleRecord) -> Result<bool> {
    Ok(filter_record::keeps(record.value.as_ref())?)
}
