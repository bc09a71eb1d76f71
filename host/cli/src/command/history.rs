//! `weir history`: who changed an item, what and when.

use std::process::ExitCode;

use serde_json::{Map, Value};
use weir_api::{Change, Difference, History};
use weir_model::{Assurance, Operation};

use crate::args::HistoryArgs;
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

/// Longest value that is printed whole.
const VALUE_CHARS_MAX: usize = 80;

pub(crate) async fn history(config: &ConfigPath, args: HistoryArgs, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let mut query = vec![("key", key_text(&args.key)), ("limit", args.limit.to_string())];
    if let Some(before) = args.before {
        query.push(("before", before.to_string()));
    }
    let history: History = client.get(&["v1", "tables", &args.table, "history"], &query).await?;
    if json {
        print_json(&history)?;
    } else {
        print(&history, args.before);
    }
    Ok(ExitCode::SUCCESS)
}

/// The key as the API takes it: JSON is handed on, `name=value` becomes an object, values alone an array.
pub(super) fn key_text(words: &[String]) -> String {
    if let [word] = words
        && (word.starts_with('{') || word.starts_with('['))
    {
        return word.clone();
    }
    let named: Option<Map<String, Value>> = words
        .iter()
        .map(|word| {
            word.split_once('=')
                .map(|(name, value)| (name.to_owned(), Value::String(value.to_owned())))
        })
        .collect();
    match named {
        Some(named) => Value::Object(named).to_string(),
        None => Value::from(words.to_vec()).to_string(),
    }
}

fn print(history: &History, below: Option<u64>) {
    if history.changes.is_empty() {
        let below = below.unwrap_or(u64::MAX).min(history.indexed_to);
        say!("no change of this item is recorded below position {below}");
    }
    for change in &history.changes {
        say!(
            "{}  {:6}  {}  position {}",
            change.time,
            change.operation.as_str(),
            who(change),
            change.position
        );
        if let Some(reason) = &change.reason {
            say!("    because {}", printable(reason));
        }
        for (name, value) in &change.tags {
            say!("    # {}: {}", printable(name), printable(value));
        }
        if let Some(code) = &change.withheld {
            say!("    withheld ({}); `weir withheld list` tells more", printable(code));
            continue;
        }
        match &change.differences {
            Some(differences) => differences
                .iter()
                .for_each(|difference| say!("    {}", describe(difference))),
            None => say!("    the stream did not carry what changed"),
        }
    }
    if let Some(before) = history.before {
        say!("older changes: --before {before}");
    }
}

fn who(change: &Change) -> String {
    let actor = change
        .actor
        .as_deref()
        .map_or_else(|| "someone unknown".to_owned(), printable);
    match (change.assurance, change.operation) {
        (Assurance::Unknown, _) => actor,
        (Assurance::LastWriter, Operation::Remove) => format!("someone unknown (last written by {actor})"),
        (assurance, _) => format!("{actor} ({})", assurance.as_str()),
    }
}

fn describe(difference: &Difference) -> String {
    let name = printable(&difference.attribute);
    match (&difference.old, &difference.new) {
        (None, Some(new)) => format!("+ {name}: {}", short(new)),
        (Some(old), None) => format!("- {name}: {}", short(old)),
        (Some(old), Some(new)) => format!("  {name}: {} → {}", short(old), short(new)),
        (None, None) => format!("  {name}"),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars().take(VALUE_CHARS_MAX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_values_as_names_or_as_json() {
        let key = |words: &[&str]| key_text(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(key(&["order-1"]), r#"["order-1"]"#);
        assert_eq!(key(&["7", "12"]), r#"["7","12"]"#);
        assert_eq!(key(&["customer=7", "order=12"]), r#"{"customer":"7","order":"12"}"#);
        assert_eq!(key(&[r#"{"id":{"N":"1"}}"#]), r#"{"id":{"N":"1"}}"#);
    }
}
