//! `weir dev`: Weir on an embedded default, and the way plugins are developed.
//!
//! ```text
//! shop ──▶ local DynamoDB ──▶ weir, as `weir run` has it ──▶ events.jsonl
//!                               │
//!                               └─ private Postgres
//! ```
//!
//! It writes the configuration that it runs by, so every other command works beside it without options.
//!
//! # Invariants
//!
//! - What runs here is the service itself, composed by the same code; only what surrounds it is embedded.
//! - Everything it keeps is in one folder. Everything it started ends with it.

mod folder;
mod screen;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_dev::shop::{Shop, ShopOptions};
use weir_dev::{DynamoDbStorage, LocalDynamoDb, PostgresOptions, PrivatePostgres, StartError, shop};
use weir_ledger::Ledger;
use weir_pipeline::Activities;

use self::folder::DevFolder;
use self::screen::Screen;
use super::stop_on_signal;
use crate::args::DevArgs;
use crate::compose::Service;
use crate::config::Loaded;

/// The route of `weir dev`.
const ROUTE: &str = "shop";

/// How often the plugin's file is looked at.
const PLUGIN_LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// How often a ledger that grew is proved, at least.
const PROOF_INTERVAL: Duration = Duration::from_secs(3);

/// Proving takes at most one part in this many of the time.
const PROOF_SHARE: u32 = 20;

pub(crate) async fn dev(args: DevArgs) -> Result<ExitCode> {
    let stop = stop_on_signal()?;
    let folder = DevFolder::prepare(&args)?;
    Screen::starting("Postgres");
    let postgres = start_postgres(&folder).await?;
    let outcome = with_postgres(&args, &folder, &postgres, stop).await;
    let stopped = postgres.stop().await;
    outcome?;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

/// Starts Postgres in the folder, or, where the account it runs as cannot get there, beside it in a public place.
///
/// Postgres refuses to run as root, and root's own folders are closed to everybody else.
async fn start_postgres(folder: &DevFolder) -> Result<PrivatePostgres> {
    match PrivatePostgres::start(&folder.postgres(), PostgresOptions::default()).await {
        Err(StartError::Closed { .. }) => {
            let open = folder.postgres_in_the_open();
            tracing::info!(folder = %open.display(), "Postgres cannot enter the data folder; its data goes here");
            Ok(PrivatePostgres::start(&open, PostgresOptions::default()).await?)
        }
        started => Ok(started?),
    }
}

async fn with_postgres(
    args: &DevArgs,
    folder: &DevFolder,
    postgres: &PrivatePostgres,
    stop: CancellationToken,
) -> Result<()> {
    Screen::starting("DynamoDB");
    let dynamodb = LocalDynamoDb::start(args.dynamodb_port, DynamoDbStorage::File(folder.dynamodb()))
        .await
        .context("the local DynamoDB cannot start (its port: --dynamodb-port)")?;
    let outcome = with_dynamodb(args, folder, postgres, &dynamodb, stop).await;
    dynamodb.stop().await;
    outcome
}

async fn with_dynamodb(
    args: &DevArgs,
    folder: &DevFolder,
    postgres: &PrivatePostgres,
    dynamodb: &LocalDynamoDb,
    stop: CancellationToken,
) -> Result<()> {
    dynamodb.ensure_table(shop::TABLE, shop::KEY).await?;
    let plugin = match &args.plugin {
        Some(plugin) => std::path::absolute(plugin)?,
        None => shipped_plugin()?,
    };
    let config = folder.write_config(args, &postgres.url(), &dynamodb.endpoint(), &plugin)?;
    let loaded = Loaded::read(&config)?;
    // Before it is loaded: a change of the file is not missed in between.
    let seen = modified(&plugin);
    let activities = Activities::new();
    let screen = Screen::new(activities.watch());
    Screen::starting("Weir");
    let service = Service::start(&loaded, true, activities, stop.clone())
        .await
        .with_context(|| {
            format!(
                "`weir dev` cannot start (its ports: --dynamodb-port {}, --api-port {})",
                args.dynamodb_port, args.api_port
            )
        })?;
    screen.welcome(args, folder, &dynamodb.endpoint(), &plugin);

    let mut beside = JoinSet::new();
    beside.spawn(screen.run(stop.clone()));
    beside.spawn(prove(service.ledger.clone(), stop.clone()));
    beside.spawn(follow_plugin(
        service.route_handle(),
        loaded,
        plugin,
        seen,
        stop.clone(),
    ));
    if !args.no_traffic {
        let shop = Shop::new(dynamodb.client(), ShopOptions::default());
        let stop = stop.clone();
        beside.spawn(async move {
            if let Err(error) = shop.run(stop).await {
                tracing::warn!(error = %error, "the shop closed");
            }
        });
    }
    let outcome = service.supervise().await;
    while beside.join_next().await.is_some() {}
    outcome
}

/// The plugin that comes with Weir: beside the binary, or where `make plugins` puts it.
fn shipped_plugin() -> Result<PathBuf> {
    let binary = std::env::current_exe().context("where this binary is cannot be found out")?;
    let folders = binary
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("plugins/shop.wasm"));
    folders.into_iter().find(|path| path.exists()).context(
        "the shipped plugin plugins/shop.wasm is not beside this binary. Build it with `make plugins`, or run your own \
         with --plugin FILE",
    )
}

/// Recomputes the ledger whenever it grew, and says so.
async fn prove(ledger: Ledger, stop: CancellationToken) {
    let mut size = ledger.watch_size();
    let mut proved = 0;
    let mut wait = Duration::from_millis(200);
    while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = PROOF_INTERVAL;
        if *size.borrow_and_update() == proved {
            wait = Duration::from_millis(200);
            continue;
        }
        let started = Instant::now();
        match ledger.verify(|_, _| {}).await {
            Ok(verification) if verification.head.size > 0 => {
                proved = verification.head.size;
                wait = wait.max(started.elapsed() * PROOF_SHARE);
                Screen::proof(&verification, started.elapsed());
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %error, "the ledger cannot be verified now"),
        }
    }
}

/// Loads the plugin again whenever its file changes, as a new version of the route.
async fn follow_plugin(
    service: crate::compose::RouteHandle,
    loaded: Loaded,
    plugin: PathBuf,
    mut seen: Option<SystemTime>,
    stop: CancellationToken,
) {
    while stop
        .run_until_cancelled(tokio::time::sleep(PLUGIN_LOOK_INTERVAL))
        .await
        .is_some()
    {
        let now = modified(&plugin);
        if now.is_none() || now == seen {
            continue;
        }
        seen = now;
        let route = &loaded.config.route[ROUTE];
        if let Err(error) = service.enter_route(&loaded, ROUTE, route).await {
            Screen::plugin_refused(&error);
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
