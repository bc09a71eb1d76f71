//! `weir erasure` and `weir hold`: what has to go, and what must not.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use weir_api::{About, ErasureRequest, ErasureState, Erasures, HoldRequest, HoldState, Holds};

use super::history::key_text;
use crate::args::{AboutArgs, ErasureArgs, ErasureCommand, HoldArgs, HoldCommand};
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

/// How often an erasure that is under way is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How long is waited for an erasure before saying that it goes on by itself.
const LOOKS_MAX: u32 = 150;

pub(crate) async fn erasure(config: &ConfigPath, args: ErasureArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    match args.command {
        ErasureCommand::Ls => {
            let listed: Erasures = client.get(&["v1", "erasures"], &[]).await?;
            if json {
                print_json(&listed)?;
            } else {
                listed.erasures.iter().for_each(print_erasure);
            }
        }
        ErasureCommand::Order {
            about,
            attributes,
            basis,
            approver,
        } => {
            let request = ErasureRequest {
                about: about_of(about)?,
                attributes,
                basis,
                approver,
            };
            let ordered: ErasureState = client.post(&["v1", "erasures"], &request).await?;
            let erasure = wait_for(&client, ordered).await?;
            if json {
                print_json(&erasure)?;
            } else {
                print_erasure(&erasure);
                if erasure.done_at.is_some() {
                    say!("back-ups and archives made before still hold it, for as long as you keep them");
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until an order was carried out, or a hold or much work delays it.
async fn wait_for(client: &Client, ordered: ErasureState) -> Result<ErasureState> {
    let mut erasure = ordered;
    for _ in 0..LOOKS_MAX {
        if erasure.done_at.is_some() {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        let listed: Erasures = client.get(&["v1", "erasures"], &[]).await?;
        if let Some(now) = listed.erasures.into_iter().find(|now| now.id == erasure.id) {
            erasure = now;
        }
    }
    Ok(erasure)
}

fn print_erasure(erasure: &ErasureState) {
    let ErasureState {
        id,
        scope,
        position,
        bodies,
        done_at,
    } = erasure;
    match done_at {
        Some(done_at) => say!("{id}  {scope}  position {position}  {bodies} bodies  done {done_at}"),
        None => say!("{id}  {scope}  position {position}  {bodies} bodies so far, under way or held up (weir hold ls)"),
    }
}

pub(crate) async fn hold(config: &ConfigPath, args: HoldArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let holds: Holds = match args.command {
        HoldCommand::Ls => client.get(&["v1", "holds"], &[]).await?,
        HoldCommand::Place {
            about,
            reason,
            approver,
        } => {
            let request = HoldRequest {
                about: about_of(about)?,
                reason,
                approver,
            };
            let placed: HoldState = client.post(&["v1", "holds"], &request).await?;
            Holds { holds: vec![placed] }
        }
        HoldCommand::Release { id, reason, approver } => {
            let request = HoldRequest {
                about: About::default(),
                reason,
                approver,
            };
            client.post(&["v1", "holds", &id, "release"], &request).await?
        }
    };
    if json {
        print_json(&holds)?;
        return Ok(ExitCode::SUCCESS);
    }
    if holds.holds.is_empty() {
        say!("nothing is held");
    }
    for HoldState { id, scope, position } in &holds.holds {
        say!("{id}  {scope}  position {position}");
    }
    Ok(ExitCode::SUCCESS)
}

fn about_of(args: AboutArgs) -> Result<About> {
    match (args.table, args.key.is_empty(), args.subject) {
        (Some(table), false, None) => Ok(About {
            table: Some(table),
            key: Some(key_text(&args.key)),
            ..About::default()
        }),
        (None, true, Some(subject)) => match subject.split_once('=') {
            Some((attribute, value)) => Ok(About {
                attribute: Some(attribute.to_owned()),
                value: Some(value.to_owned()),
                ..About::default()
            }),
            None => bail!("--subject is NAME=VALUE, not {:?}", printable(&subject)),
        },
        _ => bail!("say what it is about: a table and a key, or --subject NAME=VALUE"),
    }
}
