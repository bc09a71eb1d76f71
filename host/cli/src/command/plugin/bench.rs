//! `weir plugin bench`: how long a batch takes, made of a file's changes over and over.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::json;
use weir_model::AttributedChange;
use weir_runtime::Batch;

use super::run::read_changes;
use super::{Loaded, config, tables};
use crate::args::PluginSubject;
use crate::output::print_json;
use crate::say;

/// Changes of a batch: as many as the host puts into one.
const BATCH_CHANGES: usize = 1000;

/// Batches that are timed. The first ones warm up and are not.
const BATCHES: usize = 50;
const BATCHES_TO_WARM_UP: usize = 5;

pub(super) async fn bench(subject: &PluginSubject, changes: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::new(&subject.plugin).await?;
    let config = config(subject.plugin_config.as_deref())?;
    let manifest = loaded.describe(&config, &tables(&subject.lookups)?).await?;
    let changes = read_changes(changes)?;
    if changes.is_empty() {
        bail!("there is no change to measure with");
    }
    let batch: Vec<AttributedChange> = changes.iter().cycle().take(BATCH_CHANGES).cloned().collect();
    let batch = Batch::new(batch);
    let mut took = Vec::new();
    let mut faults = 0;
    for _ in 0..BATCHES_TO_WARM_UP + BATCHES {
        let began = Instant::now();
        faults = loaded.faults(batch.clone(), &config, &manifest).await?;
        took.push(began.elapsed());
    }
    let mut took = took.split_off(BATCHES_TO_WARM_UP);
    took.sort_unstable();
    let per_change = |took: Duration| took.as_secs_f64() * 1e6 / BATCH_CHANGES as f64;
    let (median, worst) = (per_change(took[BATCHES / 2]), per_change(took[BATCHES - 1]));
    if json {
        print_json(&json!({
            "batches": BATCHES,
            "changes": BATCH_CHANGES,
            "us_per_change_median": median,
            "us_per_change_max": worst,
            "faults": faults,
        }))?;
    } else {
        say!("{BATCHES} batches of {BATCH_CHANGES} changes: {median:.2} us a change in the median, {worst:.2} at most");
        if faults > 0 {
            say!(
                "{faults} changes of each batch fail or are rejected; failing calls are cut in halves, and that is in the time"
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
