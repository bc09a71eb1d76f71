//! A DynamoDB of one's own, with streams: the emulator `dynoxide` on a port of the loopback, in a thread of this
//! process.
//!
//! The emulator does the work of a request, `SQLite` included, on the thread that took the request. So it gets a thread
//! and a runtime of its own: a slow disk does not hold up Weir, and when the thread has ended, the file is closed.
//!
//! # What it does like DynamoDB, and what not
//!
//! As read in the source of version 3.2.0 and asserted by the tests of this crate. The workspace pins the version.
//!
//! - In a file, tables, items, stream ARNs, records, sequence numbers and event ids are all there after a restart.
//!   In memory, a restart is a new stream with a new ARN; sequence numbers still go up, because they are never below
//!   the clock's microseconds.
//! - A stream is one shard, `shardId-00000001-<table>`, that never ends and is never trimmed: the file grows. Open
//!   as it is, `DescribeStream` gives it an `EndingSequenceNumber`, that of its last record.
//! - `DescribeStream` looks at the table's name in the ARN and at nothing else of it. So the ARN of a table that was
//!   re-created still answers, with the records of the old table before those of the new one.
//! - Shard iterators do not expire. `Limit` above 1,000 is cut, not refused, and a page has no limit in bytes.
//! - A write that changes nothing still makes a MODIFY record.
//!
//! # Invariants
//!
//! - It listens on the loopback only.
//! - Nothing is signed for real: the credentials of [`LocalDynamoDb::client`] open nothing anywhere.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
    StreamViewType, TableDescription,
};
use dynoxide::storage::Storage;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::{error, info};

/// The region that clients say. The emulator's own ARNs say `dynoxide`.
const REGION: &str = "us-east-1";

/// A request is a few statements of `SQLite`. One that takes longer will not come back.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What requests in hand have to finish when the database stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The emulator keeps all stream records in one `SQLite` table without an index, and looks for the last sequence number
/// at every write and for the next records at every read: 35 ms each with 100,000 records. With an index in the order it
/// looks, neither grows.
///
/// `INTEGER` is in capitals because the emulator's queries have it so, and `SQLite` compares type names by the letter.
const STREAM_INDEX: &str = "
    create index if not exists weir_stream_order
    on _stream_records (table_name, cast(sequence_number as INTEGER), shard_id)
";

/// Where the data is.
#[derive(Clone, Debug)]
pub enum DynamoDbStorage {
    /// Gone with the process.
    Memory,

    /// In this `SQLite` file, which is made if it is not there. Its folder must be.
    File(PathBuf),
}

/// A running local DynamoDB. Dropping it stops it as well, without waiting.
#[derive(Debug)]
pub struct LocalDynamoDb {
    address: SocketAddr,
    /// Dropped to stop.
    stop: oneshot::Sender<()>,
    /// Answers when the thread is done and the file is closed.
    stopped: oneshot::Receiver<()>,
}

impl LocalDynamoDb {
    /// Opens the database and serves it on `port` of the loopback, or on a free port for 0.
    ///
    /// # Errors
    ///
    /// Nothing runs after an error.
    pub async fn start(port: u16, storage: DynamoDbStorage) -> Result<LocalDynamoDb, DynamoDbError> {
        let (started, start) = oneshot::channel();
        let (stop, stop_asked) = oneshot::channel();
        let (at_end, stopped) = oneshot::channel();

        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(port, storage, started, stop_asked));
            // Connections are tasks of this runtime and share the database. Only without them it is closed.
            drop(runtime);
            let _ = at_end.send(());
            io::Result::Ok(())
        };
        std::thread::Builder::new()
            .name("local-dynamodb".to_owned())
            .spawn(serve)
            .map_err(DynamoDbError::Thread)?;

        let address = start
            .await
            .map_err(|_| DynamoDbError::Thread(io::ErrorKind::Other.into()))??;
        info!(%address, "local DynamoDB started");
        Ok(LocalDynamoDb { address, stop, stopped })
    }

    /// The URL that clients take for the service's, of DynamoDB and of DynamoDB Streams.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of this database, and of no other.
    pub fn client(&self) -> Client {
        let timeouts = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build();
        Client::from_conf(
            Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(REGION))
                .endpoint_url(self.endpoint())
                .credentials_provider(Credentials::new("local", "local", None, None, "weir-dev"))
                .retry_config(RetryConfig::standard())
                .timeout_config(timeouts)
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build(),
        )
    }

    /// Makes a table with the hash key `hash_key`, a string, and a stream of new and old images, unless there is one
    /// of that name. Returns the ARN of its stream.
    ///
    /// The shard id is made of the name, and some SDKs refuse one under 28 characters: give the table 11 or more.
    ///
    /// # Errors
    ///
    /// The table may be there after an error. Calling again is safe.
    pub async fn ensure_table(&self, name: &str, hash_key: &str) -> Result<String, EnsureTableError> {
        let client = self.client();
        let found = match client.describe_table().table_name(name).send().await {
            Ok(answer) => answer.table,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
            {
                create_table(&client, name, hash_key).await?
            }
            Err(error) => return Err(EnsureTableError::Describe(Box::new(error))),
        };
        let table = found.unwrap_or_else(|| TableDescription::builder().build());

        let same_key = table
            .key_schema()
            .iter()
            .any(|key| key.key_type == KeyType::Hash && key.attribute_name == hash_key);
        if !same_key {
            return Err(EnsureTableError::OtherKey {
                name: name.to_owned(),
                hash_key: hash_key.to_owned(),
            });
        }
        match (table.stream_specification, table.latest_stream_arn) {
            (Some(stream), Some(arn)) if stream.stream_view_type == Some(StreamViewType::NewAndOldImages) => Ok(arn),
            _ => Err(EnsureTableError::NoStream { name: name.to_owned() }),
        }
    }

    /// Finishes the requests in hand, closes the database, and waits for it.
    pub async fn stop(self) {
        drop(self.stop);
        // The other end is dropped even if the thread panicked, so there is nothing to tell apart.
        let _ = self.stopped.await;
    }
}

/// Runs in the thread: says through `started` how it went, then serves until `stop` is dropped or sent.
async fn serve(
    port: u16,
    storage: DynamoDbStorage,
    started: oneshot::Sender<Result<SocketAddr, DynamoDbError>>,
    stop: oneshot::Receiver<()>,
) {
    let (database, listener, address) = match open(port, storage).await {
        Ok(opened) => opened,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    if started.send(Ok(address)).is_err() {
        return;
    }

    let (asked, was_asked) = oneshot::channel();
    let serving = dynoxide::server::serve_with_shutdown(listener, database, async {
        let _ = stop.await;
        let _ = asked.send(());
    });
    let patience = async {
        let _ = was_asked.await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        served = serving => {
            if let Err(reason) = served {
                error!(reason, "the local DynamoDB stopped by itself");
            }
        }
        // A client that sent half a request must not hold us up: it loses its connection with the runtime.
        () = patience => {}
    }
}

async fn open(
    port: u16,
    storage: DynamoDbStorage,
) -> Result<(dynoxide::Database, TcpListener, SocketAddr), DynamoDbError> {
    let listen = |source| DynamoDbError::Listen { port, source };
    // First, because it is the one that two processes fight over.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => DynamoDbError::PortTaken { port },
            _ => listen(source),
        })?;
    let address = listener.local_addr().map_err(listen)?;

    let database = match storage {
        DynamoDbStorage::Memory => dynoxide::Database::memory().map_err(DynamoDbError::Memory)?,
        DynamoDbStorage::File(file) => open_file(&file).map_err(|source| DynamoDbError::File { file, source })?,
    };
    Ok((database, listener, address))
}

fn open_file(file: &Path) -> Result<dynoxide::Database, dynoxide::DynoxideError> {
    let name = file.to_string_lossy();
    Storage::new(&name)?.conn().execute_batch(STREAM_INDEX)?;
    dynoxide::Database::new(&name)
}

async fn create_table(
    client: &Client,
    name: &str,
    hash_key: &str,
) -> Result<Option<TableDescription>, EnsureTableError> {
    let invalid = |error| EnsureTableError::Create(Box::new(SdkError::construction_failure(error)));
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages);
    let attribute = AttributeDefinition::builder()
        .attribute_name(hash_key)
        .attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder()
        .attribute_name(hash_key)
        .key_type(KeyType::Hash);

    let answer = client
        .create_table()
        .table_name(name)
        .attribute_definitions(attribute.build().map_err(invalid)?)
        .key_schema(key.build().map_err(invalid)?)
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(stream.build().map_err(invalid)?)
        .send()
        .await
        .map_err(|error| EnsureTableError::Create(Box::new(error)))?;
    Ok(answer.table_description)
}

/// Why the local DynamoDB did not start. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum DynamoDbError {
    /// Something else listens on the port.
    #[error("port {port} of the loopback is taken: stop what listens there, or choose another port for DynamoDB")]
    PortTaken { port: u16 },

    /// The system refused the port for another reason.
    #[error("could not listen on port {port} of the loopback: choose another port for DynamoDB")]
    Listen { port: u16, source: io::Error },

    /// The file could not be opened, or was written by something else. It was not changed.
    #[error("could not open {} as the local DynamoDB's data: move it away, or choose another --data folder", file.display())]
    File {
        file: PathBuf,
        source: dynoxide::DynoxideError,
    },

    /// A database in memory could not be made.
    #[error("could not make a local DynamoDB in memory")]
    Memory(#[source] dynoxide::DynoxideError),

    /// The system gave no thread, or the thread ended before it had started.
    #[error("could not start the thread of the local DynamoDB")]
    Thread(#[source] io::Error),
}

/// Why a table is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum EnsureTableError {
    /// The database did not say whether the table is there. Nothing was changed.
    #[error("could not look for the table")]
    Describe(#[source] Box<SdkError<DescribeTableError>>),

    /// The table was not there, and may be now.
    #[error("could not create the table")]
    Create(#[source] Box<SdkError<CreateTableError>>),

    /// The table is there with another key. It was not changed.
    #[error("table {name} is there, but its hash key is not {hash_key}: delete it, or choose another --data folder")]
    OtherKey { name: String, hash_key: String },

    /// The table is there without a stream of new and old images. It was not changed.
    #[error(
        "table {name} is there, but has no stream of new and old images: enable it with `aws dynamodb update-table \
         --table-name {name} --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES`"
    )]
    NoStream { name: String },
}
