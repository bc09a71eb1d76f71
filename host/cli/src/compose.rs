//! Puts everything together: what `weir run` and `weir dev` have in common.
//!
//! ```text
//! every process ──▶ heart, intake (its share of the shards), routes (its share of the partitions), API
//! one of them   ──▶ lead: index, publisher, eraser, scrubber
//! ```

mod configured;
mod lead;
mod sinks;
mod standing;
mod team;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_api::{Api, Configure, PluginGate, Token, Tokens};
use weir_ledger::{Database, Ledger, Role, Work};
use weir_pipeline::{
    Activities, AtGap, Clock, EraserTask, Feed, Gates, Heart, Images, Intake, PrecompileTask, Publisher, RouteSettings,
    Routes, ScrubTask, Source, SourceSettings, SourceTable, Start,
};
use weir_runtime::{Limits, Runtime};
use weir_sinks::AwsAccess;

pub(crate) use self::configured::RouteHandle;
use self::lead::Lead;
use self::standing::Applies;
pub(crate) use self::standing::{Standing, is_of_postgres};
use self::team::Team;
use crate::args::COMPILE_COMMAND;
use crate::config::{AtGapConfig, AwsConfig, ImagesConfig, Loaded, RouteConfig, SourceConfig, StartConfig};

/// How long tasks may take to finish what they have in hand.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// The same where this process begins anew right after: nobody records meanwhile, so what a sink takes its time for is sent once more.
const RENEWAL_GRACE: Duration = Duration::from_secs(5);

/// Sources whose streams are looked for at a time.
const SOURCES_AT_ONCE: usize = 8;

/// How often an address is tried that another process of this machine has.
const BIND_INTERVAL: Duration = Duration::from_millis(500);

/// A Weir at work.
pub(crate) struct Service {
    #[cfg_attr(
        not(feature = "dev"),
        expect(dead_code, reason = "only `weir dev` looks into it while it runs")
    )]
    pub(crate) ledger: Ledger,
    routes: RouteHandle,
    gates: Arc<Gates>,
    team: Team,
}

/// Connects to Postgres and opens the configured ledger.
pub(crate) async fn open_ledger(loaded: &Loaded, migrate: bool) -> Result<(Database, Ledger)> {
    let database = connect(loaded, Role::Writer).await?;
    if migrate {
        database.migrate().await?;
    }
    let ledger = database
        .open_or_create(&loaded.config.ledger.name, loaded.secret()?)
        .await?;
    Ok((database, ledger))
}

/// Connects to Postgres, to do what this role may.
pub(crate) async fn connect(loaded: &Loaded, role: Role) -> Result<Database> {
    let url = loaded.postgres_url()?;
    Database::connect(&url, role).await.context(
        "Weir keeps everything in Postgres and cannot begin without it; check that it runs, and `url` under [postgres] \
         or WEIR_POSTGRES_URL",
    )
}

impl Service {
    /// Starts what stands, as one of all processes of the ledger.
    pub(crate) async fn begin(standing: &Standing, stop: CancellationToken) -> Result<Self> {
        Self::compose(&standing.loaded, Some(standing), false, Activities::new(), stop).await
    }

    /// Starts everything that the configuration names, and does that whatever is applied.
    #[cfg(feature = "dev")]
    pub(crate) async fn start(
        loaded: &Loaded,
        migrate: bool,
        activities: Activities,
        stop: CancellationToken,
    ) -> Result<Self> {
        Self::compose(loaded, None, migrate, activities, stop).await
    }

    /// What is wrong with the configuration is said here, before anything is recorded.
    async fn compose(
        loaded: &Loaded,
        standing: Option<&Standing>,
        migrate: bool,
        activities: Activities,
        stop: CancellationToken,
    ) -> Result<Self> {
        let config = &loaded.config;
        let (database, ledger) = open_ledger(loaded, migrate).await?;
        // This very program, also after its file was replaced by a newer one (proc_pid_exe(5)).
        let program = PathBuf::from("/proc/self/exe");
        let runtime = Runtime::start(Limits::default())?
            .compiling_by(program, &[COMPILE_COMMAND])
            .keeping_artefacts(loaded.path(&config.plugins.compiled), *loaded.secret()?.artefact_key());
        let tokens = Tokens {
            operator: Token::read_or_create(&loaded.path(&config.api.token_file))?,
            auditor: Token::read_or_create(&loaded.path(&config.api.auditor_token_file))?,
        };
        // The guard of a new ledger is made before anything is recorded in it.
        let (publisher, publication) = Publisher::prepare(ledger.clone(), loaded.publisher()?).await?;
        let eraser = EraserTask::new(ledger.clone(), loaded.guard(), loaded.retention()?);
        let scrub = ScrubTask::new(ledger.clone());
        let listener = bind(config.api.listen, &ledger).await?;
        let routes = RouteHandle {
            ledger: ledger.clone(),
            runtime,
            activities: activities.clone(),
            counts: standing.map(|standing| standing.number),
        };
        for (name, route) in &config.route {
            routes.check_route(loaded, name, route).await?;
        }
        let gates = Arc::new(Gates::new(sinks::make(loaded).await?, Clock::system()));
        let sources = prepare_sources(loaded, &routes).await?;
        for (name, route) in &config.route {
            routes.enter_route(loaded, name, route).await?;
        }

        if standing.is_some_and(Standing::is_behind) {
            gates.fall_behind();
        }
        let known_gates = Arc::clone(&gates);
        let mut team = Team::new(stop.clone());
        let works_at = config.source.keys().cloned().map(Work::Source);
        let works_at = works_at.chain(config.route.keys().cloned().map(Work::Route));
        let number = standing.map(|standing| standing.number).filter(|number| *number > 0);
        let heart = Heart::new(ledger.clone(), worker_name(), works_at.collect()).doing(number);
        let applies = standing.map(|standing| {
            let applies = Applies {
                standing: standing.clone(),
                routes: routes.clone(),
            };
            Arc::new(applies) as Arc<dyn Configure>
        });
        let intake = Intake::new(ledger.clone(), heart.member(), sources);
        let answers = Api::new(
            database,
            publication,
            scrub.watch(),
            eraser.nudge(),
            intake.status(),
            PluginGate::new(routes.runtime.clone(), loaded.trusted_keys()?),
            tokens,
        )
        .configured_by(applies);
        team.spawn("intake", intake.run(stop.clone()));
        let precompile = PrecompileTask::new(ledger.clone(), routes.runtime.clone());
        let stop_precompiling = stop.clone();
        team.spawn("precompile", async move {
            precompile.run(stop_precompiling).await;
            anyhow::Ok(())
        });
        let routing = Routes::new(
            config.route.iter().map(|(name, route)| route_settings(name, route)),
            heart.member(),
            Arc::new(Feed::new(ledger.clone())),
            &routes.runtime,
            Arc::clone(&gates),
            activities,
        );
        team.spawn("routes", routing.run(stop.clone()));
        let (member, ledger_of_sinks, stop_keeping) = (heart.member(), ledger.clone(), stop.clone());
        team.spawn("sinks", async move {
            gates.keep(&ledger_of_sinks, member, &stop_keeping).await;
            anyhow::Ok(())
        });
        let stop_beating = stop.clone();
        team.spawn(team::HEART, async move {
            heart.beat(stop_beating).await;
            anyhow::Ok(())
        });
        let lead = Lead {
            ledger: ledger.clone(),
            publisher,
            eraser,
            scrub,
        };
        team.spawn("leader", lead.run(stop.clone()));
        let listen = config.api.listen;
        let stop_answering = stop.clone();
        team.spawn("api", async move {
            let stop = stop_answering;
            let listener = match listener {
                Some(listener) => listener,
                None => match stop.run_until_cancelled(bind_later(listen)).await {
                    Some(listener) => listener?,
                    None => return Ok(()),
                },
            };
            anyhow::Ok(answers.run(listener, stop).await?)
        });
        tracing::info!(
            ledger = %config.ledger.name,
            api = %config.api.listen,
            sources = config.source.len(),
            routes = config.route.len(),
            "weir runs"
        );
        Ok(Self {
            ledger,
            routes,
            gates: known_gates,
            team,
        })
    }

    /// What enters versions of routes while they run.
    #[cfg(feature = "dev")]
    pub(crate) fn route_handle(&self) -> RouteHandle {
        self.routes.clone()
    }

    /// Waits until it is told to stop, or a task ends by itself; then lets the others finish what they have in hand.
    #[cfg(feature = "dev")]
    pub(crate) async fn supervise(self) -> Result<()> {
        let outcome = self.team.run(SHUTDOWN_GRACE).await;
        tracing::info!("weir stopped");
        outcome
    }

    /// Waits, as `supervise` does, or until something is applied that this process can do: then it lets go of all that it does, and
    /// tells what to do instead.
    pub(crate) async fn until_superseded(mut self, standing: &Standing) -> Result<Option<Standing>> {
        let next = tokio::select! {
            worked = self.team.works() => {
                let ended = self.team.end(SHUTDOWN_GRACE).await;
                tracing::info!("weir stopped");
                return worked.and(ended).map(|()| None);
            }
            next = standing.next(&self.routes, &self.gates) => next,
        };
        tracing::info!(
            configuration = next.number,
            "a configuration was applied; this process begins anew with it"
        );
        if let Err(error) = self.team.end(RENEWAL_GRACE).await {
            tracing::warn!(
                problem = format!("{error:#}"),
                "something did not end in good order; it begins anew all the same"
            );
        }
        Ok(Some(next))
    }
}

/// Finds the streams of the sources, some at a time: where AWS does not answer, each waits its time out.
async fn prepare_sources(loaded: &Loaded, routes: &RouteHandle) -> Result<Vec<Source>> {
    let prepared = loaded.config.source.iter().map(|(name, source)| async move {
        let settings = source_settings(loaded, name, source);
        let prepared = Source::prepare(settings, routes.ledger.clone(), routes.activities.clone()).await?;
        Ok(match routes.annotator(loaded, name, source).await? {
            Some(plugin) => prepared.annotated_by(plugin, routes.ledger.clone()),
            None => prepared,
        })
    });
    futures_util::stream::iter(prepared)
        .buffered(SOURCES_AT_ONCE)
        .try_collect()
        .await
}

/// Listens for the API. Where another weir of this ledger has the address already, this one answers when that one is gone.
async fn bind(listen: std::net::SocketAddr, ledger: &Ledger) -> Result<Option<TcpListener>> {
    match TcpListener::bind(listen).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !ledger.live_workers().await?.is_empty() => {
            tracing::warn!(
                %listen,
                "another process answers on this address; this weir answers there when that one is gone. To ask it now, give \
                 it another `listen` under [api]"
            );
            Ok(None)
        }
        Err(error) => Err(error)
            .with_context(|| format!("the API cannot listen on {listen}; choose another `listen` under [api]")),
    }
}

async fn bind_later(listen: std::net::SocketAddr) -> Result<TcpListener> {
    loop {
        match TcpListener::bind(listen).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => tokio::time::sleep(BIND_INTERVAL).await,
            bound => return bound.with_context(|| format!("the API cannot listen on {listen}")),
        }
    }
}

/// What people call this process: `host/process id`.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "localhost".to_owned());
    format!("{}/{}", host.trim(), std::process::id())
}

fn source_settings(loaded: &Loaded, name: &str, source: &SourceConfig) -> SourceSettings {
    let table = match (&source.table, &source.stream_arn, &source.recorded) {
        (Some(table), _, _) => SourceTable::Table(table.clone()),
        (None, Some(arn), _) => SourceTable::Stream(arn.clone()),
        (None, None, Some(file)) => SourceTable::Recorded(loaded.path(file)),
        (None, None, None) => unreachable!("a loaded configuration was checked"),
    };
    SourceSettings {
        name: name.to_owned(),
        table,
        access: aws_access(&source.aws),
        start: match source.start {
            StartConfig::TrimHorizon => Start::TrimHorizon,
            StartConfig::Latest => Start::Latest,
        },
        images: match source.images {
            ImagesConfig::Both => Images::Both,
            ImagesConfig::Any => Images::Any,
        },
        actor: source.actor.clone(),
        reads_per_second: source.reads_per_second.0,
        at_gap: match source.at_gap {
            AtGapConfig::Record => AtGap::Record,
            AtGapConfig::Stop => AtGap::Stop,
        },
    }
}

fn route_settings(name: &str, route: &RouteConfig) -> RouteSettings {
    RouteSettings {
        name: name.to_owned(),
        retry: route.retry.clone(),
        parked_max: route.parked_max,
    }
}

fn aws_access(aws: &AwsConfig) -> AwsAccess {
    AwsAccess {
        region: aws.region.clone(),
        endpoint: aws.endpoint.clone(),
        test_credentials: aws.test_credentials,
    }
}
