//! `weir doctor`: looks at everything and changes nothing.
//!
//! | exit code | means |
//! | --- | --- |
//! | 0 | everything is well |
//! | 1 | something is wrong: it is named, with what to do |
//! | 2 | something could not be looked at |

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use weir_evidence::{consistency_ranges, is_consistent};
use weir_ledger::{Ledger, Role, SigningOrigin};
use weir_pipeline::Guard;

use crate::args::DoctorArgs;
use crate::compose::connect;
use crate::config::{ConfigPath, Loaded};
use crate::output::{print_error, print_json, printable};
use crate::say;

/// Something could not be looked at.
const UNKNOWN: u8 = 2;

/// How one thing is.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Health {
    Well,
    Wrong,
    Unknown,
}

#[derive(Serialize)]
struct Examination {
    what: &'static str,
    health: Health,
    told: String,
}

/// What was looked at, in order.
#[derive(Default)]
struct Examinations(Vec<Examination>);

impl Examinations {
    fn note(&mut self, what: &'static str, outcome: anyhow::Result<Result<String, Vec<String>>>) {
        let one = |health, told| Examination { what, health, told };
        match outcome {
            Ok(Ok(told)) => self.0.push(one(Health::Well, told)),
            Ok(Err(findings)) => self.0.extend(findings.into_iter().map(|told| one(Health::Wrong, told))),
            Err(error) => self.0.push(one(Health::Unknown, format!("{error:#}"))),
        }
    }

    fn exit_code(&self) -> u8 {
        let has = |wanted: fn(&Health) -> bool| self.0.iter().any(|one| wanted(&one.health));
        if has(|health| matches!(health, Health::Wrong)) {
            1
        } else if has(|health| matches!(health, Health::Unknown)) {
            UNKNOWN
        } else {
            0
        }
    }
}

pub(crate) async fn doctor(config: &ConfigPath, args: DoctorArgs, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = match config.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            print_error(&error);
            return Ok(ExitCode::from(UNKNOWN));
        }
    };
    let mut seen = Examinations::default();
    let opened = open(&loaded).await;
    match &opened {
        Ok(ledger) => {
            seen.note("schema", Ok(Ok("is the one that this weir was built for".to_owned())));
            seen.note("append-only", append_only(ledger).await);
            seen.note("ledger", recomputed(ledger).await);
            seen.note("guard", guarded(ledger, &loaded.guard()).await);
            seen.note("erasures", erasures(ledger).await);
            if args.after_restore {
                seen.note("destroyed keys", destroyed(ledger, &loaded.guard()).await);
            }
        }
        Err(error) => seen.note("database", Err(anyhow::anyhow!("{error:#}"))),
    }
    let origin = match &opened {
        Ok(ledger) => ledger.find_origin().await.ok().flatten(),
        Err(_) => None,
    };
    seen.note("signing key", signing_key(&loaded, origin.as_ref()));
    if json {
        print_json(&seen.0)?;
    } else {
        for Examination { what, health, told } in &seen.0 {
            let mark = match health {
                Health::Well => "ok     ",
                Health::Wrong => "WRONG  ",
                Health::Unknown => "unknown",
            };
            say!("{mark}  {what:15} {}", printable(told));
        }
    }
    Ok(ExitCode::from(seen.exit_code()))
}

async fn open(loaded: &Loaded) -> anyhow::Result<Ledger> {
    let database = connect(loaded, Role::Reader).await?;
    Ok(database.open(&loaded.config.ledger.name, loaded.secret()?).await?)
}

type Outcome = anyhow::Result<Result<String, Vec<String>>>;

async fn append_only(ledger: &Ledger) -> Outcome {
    let faults = ledger.append_only_faults().await?;
    if !faults.is_empty() {
        return Ok(Err(faults));
    }
    let watched = if ledger.is_schema_watched().await? {
        "and whoever changes them leaves a mark"
    } else {
        "but whoever changes them leaves no mark: that takes a migration by a superuser"
    };
    Ok(Ok(format!("grants, triggers and partitions are in place, {watched}")))
}

async fn recomputed(ledger: &Ledger) -> Outcome {
    let verification = ledger.verify(|_, _| {}).await?;
    if verification.findings.is_empty() {
        return Ok(Ok(format!("{} entries are what was recorded", verification.checked)));
    }
    Ok(Err(verification.findings.iter().map(ToString::to_string).collect()))
}

/// Whether the tree grew out of the last one that was signed.
async fn guarded(ledger: &Ledger, guard: &Guard) -> Outcome {
    let head = ledger.head().await?;
    let Some(signed) = guard.read().await? else {
        let advice = "put it back, or run `weir ledger adopt` if this database is the newest";
        return Ok(Err(vec![format!("the guard {} is missing: {advice}", guard.place())]));
    };
    let signed = signed.checkpoint();
    let has_grown = signed.size <= head.size && {
        let proof = ledger
            .roots(head.size, &consistency_ranges(signed.size, head.size))
            .await;
        let proof = proof.context("the stored tree cannot be read")?;
        signed.size == 0 || is_consistent(signed.size, &signed.root, head.size, &head.root, &proof)
    };
    Ok(if has_grown {
        Ok(format!(
            "the tree grew out of the {} entries that were signed last",
            signed.size
        ))
    } else {
        Err(vec![format!(
            "{} entries were signed, and the {} entries here did not grow out of them: this database was restored, cut off \
             or rewritten. Put the newest one back, or run `weir ledger continue --reason ...`",
            signed.size, head.size
        )])
    })
}

async fn erasures(ledger: &Ledger) -> Outcome {
    let open = ledger
        .erasures()
        .await?
        .into_iter()
        .filter(|erasure| erasure.done_at.is_none())
        .count();
    Ok(match open {
        0 => Ok("every order was carried out".to_owned()),
        open => Ok(format!("{open} are under way or wait for a hold")),
    })
}

/// Keys that were destroyed and can be made again are the trace of a back-up from before.
async fn destroyed(ledger: &Ledger, guard: &Guard) -> Outcome {
    let destroyed = guard.destroyed().await?;
    let exist = ledger.keys_that_exist(&destroyed).await?;
    Ok(if exist.is_empty() {
        Ok(format!(
            "none of the {} keys that were destroyed is here",
            destroyed.len()
        ))
    } else {
        Err(vec![format!(
            "{} keys of bodies that were erased are here again, of {} that were destroyed: `weir ledger continue --reason \
             ...` destroys them again",
            exist.len(),
            destroyed.len()
        )])
    })
}

fn signing_key(loaded: &Loaded, origin: Option<&SigningOrigin>) -> Outcome {
    let settings = loaded.publisher()?;
    // Once the ledger has one, what the file says changes nothing. After a restore it has a number behind it.
    if let Some(origin) = origin
        && !settings.names(origin)
    {
        return Ok(Err(vec![format!(
            "`origin` under [ledger] is {:?}, but this ledger is signed as {:?}, for life: set that again",
            settings.origin, origin.origin
        )]));
    }
    let names = settings.seeds.len();
    for seed in &settings.seeds {
        weir_evidence::SigningKey::parse(settings.origin.clone(), seed)?;
    }
    let origin = origin.map_or(&settings.origin, |origin| &origin.origin);
    Ok(Ok(format!("{names} sign as {origin}")))
}
