//! Puts everything together: what `weir run` and `weir dev` have in common.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::{Api, Token, Tokens};
use weir_ledger::{Database, Ledger, Mandate, Role, RouteDefinition, RouteVersion, StoredPlugin};
use weir_pipeline::{
    Activities, Activity, EraserTask, Images, IndexTask, Intake, Publisher, RouteTask, ScrubTask, Sinks,
    SourceSettings, SourceTable, Start,
};
use weir_runtime::{Limits, Runtime};
use weir_sinks::{AwsAccess, EventBridge, Log, Sink};

use crate::config::{AwsConfig, ImagesConfig, Loaded, RouteConfig, SinkConfig, SourceConfig, StartConfig};

/// How long tasks may take to finish what they have in hand.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// How often a process that stands by looks whether its turn has come.
const STANDBY_INTERVAL: Duration = Duration::from_millis(500);

/// A Weir at work.
pub(crate) struct Service {
    pub(crate) ledger: Ledger,
    routes: RouteHandle,
    tasks: JoinSet<(&'static str, Result<()>)>,
    stop: CancellationToken,
    mandate: Mandate,
}

/// Enters versions of routes, also while they run.
#[derive(Clone)]
pub(crate) struct RouteHandle {
    ledger: Ledger,
    runtime: Runtime,
    activities: Activities,
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
    /// Starts everything that the configuration names. What is wrong with it is said here, before anything is recorded.
    pub(crate) async fn start(
        loaded: &Loaded,
        migrate: bool,
        activities: Activities,
        stop: CancellationToken,
    ) -> Result<Self> {
        let config = &loaded.config;
        let (database, ledger) = open_ledger(loaded, migrate).await?;
        let mandate = take_mandate(&ledger, &stop).await?;
        let runtime = Runtime::start(Limits::default())?;
        let tokens = Tokens {
            operator: Token::read_or_create(&loaded.path(&config.api.token_file))?,
            auditor: Token::read_or_create(&loaded.path(&config.api.auditor_token_file))?,
        };
        // The guard of a new ledger is made before anything is recorded in it.
        let (publisher, publication) = Publisher::prepare(ledger.clone(), loaded.publisher()?).await?;
        let eraser = EraserTask::new(ledger.clone(), loaded.guard(), loaded.retention()?);
        let scrub = ScrubTask::new(ledger.clone());
        let listener = TcpListener::bind(config.api.listen).await.with_context(|| {
            format!(
                "the API cannot listen on {}; choose another `listen` under [api]",
                config.api.listen
            )
        })?;
        let routes = RouteHandle {
            ledger: ledger.clone(),
            runtime,
            activities: activities.clone(),
        };
        for (name, route) in &config.route {
            routes.enter_route(loaded, name, route).await?;
        }
        let sinks = make_sinks(loaded).await?;
        let mut intakes = Vec::new();
        for (name, source) in &config.source {
            let settings = source_settings(name, source);
            intakes.push(Intake::prepare(settings, ledger.clone(), activities.clone()).await?);
        }

        let mut service = Self {
            ledger: ledger.clone(),
            routes,
            tasks: JoinSet::new(),
            stop: stop.clone(),
            mandate,
        };
        for intake in intakes {
            service.spawn("intake", intake.run(stop.clone()));
        }
        for (name, route) in &config.route {
            let task = service.route_task(name, route, &sinks);
            service.spawn("route", task.run(stop.clone()));
        }
        service.spawn("index", IndexTask::new(ledger.clone()).run(stop.clone()));
        let api = Api::new(database, publication, scrub.watch(), eraser.nudge(), tokens);
        service.spawn("publisher", publisher.run(stop.clone()));
        service.spawn("eraser", eraser.run(stop.clone()));
        service.spawn("scrubber", scrub.run(stop.clone()));
        service.spawn("api", api.run(listener, stop));
        tracing::info!(
            ledger = %config.ledger.name,
            api = %config.api.listen,
            sources = config.source.len(),
            routes = config.route.len(),
            "weir runs"
        );
        Ok(service)
    }

    /// What enters versions of routes while they run.
    #[cfg(feature = "dev")]
    pub(crate) fn route_handle(&self) -> RouteHandle {
        self.routes.clone()
    }

    fn route_task(&self, name: &str, route: &RouteConfig, sinks: &Sinks) -> RouteTask {
        RouteTask::new(
            name.to_owned(),
            self.ledger.clone(),
            self.routes.runtime.clone(),
            sinks.clone(),
            route.retry.clone(),
            self.routes.activities.clone(),
        )
    }

    fn spawn<E: Into<anyhow::Error>>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, task.await.map_err(Into::into)) });
    }

    /// Waits until it is told to stop, or a task ends by itself; then lets the others finish what they have in hand.
    pub(crate) async fn supervise(mut self) -> Result<()> {
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            ended = self.tasks.join_next() => ended,
        };
        let mut outcome = first.map_or(Ok(()), |ended| match ended {
            Ok((name, Ok(()))) => Err(anyhow!("the {name} task ended by itself")),
            Ok((_, Err(error))) => Err(error),
            Err(error) => Err(anyhow::Error::new(error).context("a task is broken")),
        });
        self.stop.cancel();
        let drain = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let (Ok(()), Ok((_, Err(error)))) = (&outcome, ended) {
                    outcome = Err(error);
                }
            }
        };
        if tokio::time::timeout(SHUTDOWN_GRACE, drain).await.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "some work did not end in time; it is done again at the next start"
            );
        }
        drop(self.mandate);
        tracing::info!("weir stopped");
        outcome
    }
}

impl RouteHandle {
    /// Makes what the configuration says of a route its newest version, if it is not so already.
    pub(crate) async fn enter_route(&self, loaded: &Loaded, name: &str, route: &RouteConfig) -> Result<RouteVersion> {
        let plugin_config = serde_json::to_string(&route.plugin_config)?;
        let plugin = match &route.plugin {
            Some(path) => {
                let path = loaded.path(path);
                let checked = self.check_plugin(&path, &plugin_config).await;
                Some(checked.with_context(|| format!("the plugin {} of [route.{name}] cannot run", path.display()))?)
            }
            None => None,
        };
        let definition = RouteDefinition {
            source: route.source.clone(),
            pattern: route.pattern.clone(),
            plugin: plugin.as_ref().map(|plugin| hex::encode(plugin.digest)),
            plugin_config,
            sinks: route.sinks.clone(),
        };
        let entered = self
            .ledger
            .enter_route_version(name, &definition, plugin.as_ref())
            .await?;
        tracing::info!(route = name, version = entered.version, position = %entered.from_position, "route version");
        self.activities.announce(Activity::Version {
            route: name.to_owned(),
            version: entered.version,
            from: entered.from_position,
        });
        Ok(entered)
    }

    async fn check_plugin(&self, path: &std::path::Path, plugin_config: &str) -> Result<StoredPlugin> {
        let component = tokio::fs::read(path).await.context("the file cannot be read")?;
        let plugin = self.runtime.load(component.clone()).await?;
        let manifest = plugin.describe(plugin_config).await?;
        ensure!(
            manifest.lookups.is_empty(),
            "it reads the lookup tables {:?}, but this weir has no lookup tables yet",
            manifest.lookups
        );
        Ok(StoredPlugin {
            digest: *plugin.digest(),
            component,
        })
    }
}

/// Waits until no other process works on the ledger.
async fn take_mandate(ledger: &Ledger, stop: &CancellationToken) -> Result<Mandate> {
    let mut told = false;
    loop {
        if let Some(mandate) = ledger.try_take_mandate().await? {
            return Ok(mandate);
        }
        if !told {
            tracing::info!(ledger = %ledger.name(), "another weir works on this ledger; standing by to take over");
            told = true;
        }
        let waited = stop.run_until_cancelled(tokio::time::sleep(STANDBY_INTERVAL)).await;
        ensure!(waited.is_some(), "stopped while standing by");
    }
}

async fn make_sinks(loaded: &Loaded) -> Result<Sinks> {
    let mut sinks = Sinks::new();
    for (name, config) in &loaded.config.sink {
        let sink: Arc<dyn Sink> = match config {
            SinkConfig::EventBridge(bus) => Arc::new(EventBridge::new(&aws_access(&bus.aws), &bus.bus).await),
            SinkConfig::Log(log) => {
                let path = loaded.path(&log.file);
                let opened = Log::open(&path).await;
                Arc::new(
                    opened
                        .with_context(|| format!("the file {} of [sink.{name}] cannot be written", path.display()))?,
                )
            }
        };
        sinks.insert(name.clone(), sink);
    }
    Ok(sinks)
}

fn source_settings(name: &str, source: &SourceConfig) -> SourceSettings {
    let table = match (&source.table, &source.stream_arn) {
        (Some(table), _) => SourceTable::Table(table.clone()),
        (None, Some(arn)) => SourceTable::Stream(arn.clone()),
        (None, None) => unreachable!("a loaded configuration was checked"),
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
    }
}

fn aws_access(aws: &AwsConfig) -> AwsAccess {
    AwsAccess {
        region: aws.region.clone(),
        endpoint: aws.endpoint.clone(),
        test_credentials: aws.test_credentials,
    }
}
