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
            let mut ordered: Erasures = client.post_patiently(&["v1", "erasures"], &request).await?;
            wait_for(&client, &mut ordered.erasures).await?;
            if json {
                print_json(&ordered)?;
            } else {
                ordered.erasures.iter().for_each(print_erasure);
                if ordered.erasures.iter().any(|erasure| erasure.done_at.is_some()) {
                    say!("back-ups and archives made before still hold it, for as long as you keep them");
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until orders were carried out, or a hold or much work delays one.
async fn wait_for(client: &Client, ordered: &mut [ErasureState]) -> Result<()> {
    for _ in 0..LOOKS_MAX {
        if ordered.iter().all(|erasure| erasure.done_at.is_some()) {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        let listed: Erasures = client.get(&["v1", "erasures"], &[]).await?;
        for now in listed.erasures {
            if let Some(erasure) = ordered.iter_mut().find(|erasure| erasure.id == now.id) {
                *erasure = now;
            }
        }
    }
    Ok(())
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
    for hold in &holds.holds {
        let said = |text: &Option<String>| text.as_deref().map_or_else(|| "?".to_owned(), printable);
        say!("{}  {}  position {}", hold.id, hold.scope, hold.position);
        say!(
            "    {}: {}, by {}",
            said(&hold.about),
            said(&hold.reason),
            said(&hold.approver)
        );
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
