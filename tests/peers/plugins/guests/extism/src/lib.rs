//! The filter as an Extism plugin: records one to a line, answers one byte each. A call for each record would cost more.

use extism_pdk::{FnResult, plugin_fn};

#[plugin_fn]
pub fn filter(records: Vec<u8>) -> FnResult<Vec<u8>> {
    let answers = records
        .split(|byte| *byte == b'\n')
        .map(|record| Ok(u8::from(filter_record::keeps(record)?)));
    Ok(answers.collect::<Result<Vec<u8>, serde_json::Error>>()?)
}
