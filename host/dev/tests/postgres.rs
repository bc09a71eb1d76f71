//! The private Postgres, by what its users notice: it runs, it keeps its data, and it never outlives its process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use weir_dev::{PostgresOptions, PrivatePostgres, RunError, StartError};

/// The variable that makes [`being_killed`] a process that holds a server and waits to be killed.
const HOLD: &str = "WEIR_DEV_TEST_HOLD";

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_private_server_takes_connections_from_sqlx_and_is_durable() {
    let place = Place::new();
    let postgres = PrivatePostgres::start(&place.folder, PostgresOptions::default())
        .await
        .unwrap();

    let mut conn = PgConnection::connect(&postgres.url()).await.unwrap();
    for (setting, value) in [
        ("server_encoding", "UTF8"),
        ("lc_messages", "C"),
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", ""),
    ] {
        assert_eq!(show(&mut conn, setting).await, value, "{setting}");
    }
    let names: (String, String) = sqlx::query_as("select current_user::text, current_database()::text")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(names, ("weir".to_owned(), "weir".to_owned()));

    postgres.stop().await.unwrap();
    assert_eq!(server(&place.folder), None);
}

#[tokio::test]
async fn a_restart_goes_on_with_the_data() {
    let place = Place::new();
    let postgres = place.start().await;
    execute(
        &postgres,
        "create table kept (word text); insert into kept values ('barrage')",
    )
    .await;
    postgres.stop().await.unwrap();

    let postgres = place.start().await;
    assert_eq!(word(&postgres).await, "barrage");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_ends_when_its_process_is_killed_and_the_next_start_has_all_that_was_committed() {
    let place = Place::new();
    let mut process = hold(&place.folder);
    until("the server of the other process is there", || {
        server(&place.folder).is_some_and(|server| server.is_ready)
    });

    process.kill().unwrap();
    process.wait().unwrap();
    // Right away: the old server is still shutting down, or has not even heard yet.
    let postgres = place.start().await;
    assert_eq!(word(&postgres).await, "committed");
    postgres.stop().await.unwrap();
}

#[test]
fn a_server_whose_process_was_killed_shuts_down_by_itself() {
    let place = Place::new();
    let mut process = hold(&place.folder);
    until("the server of the other process is there", || {
        server(&place.folder).is_some_and(|server| server.is_ready)
    });

    process.kill().unwrap();
    process.wait().unwrap();
    until("the server has removed its pid file", || {
        server(&place.folder).is_none()
    });
}

#[tokio::test]
async fn a_server_without_a_leash_that_was_left_behind_is_stopped_first() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();
    let mut left_behind = place.start_without_us();
    until("it is ready", || {
        server(&place.folder).is_some_and(|server| server.is_ready)
    });

    let postgres = place.start().await;
    assert!(left_behind.wait().unwrap().success(), "it was shut down in order");
    execute(&postgres, "select 1").await;
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_was_killed_itself_is_recovered() {
    let place = Place::new();
    let postgres = place.start().await;
    execute(
        &postgres,
        "create table kept (word text); insert into kept values ('barrage')",
    )
    .await;

    let task = tokio::spawn(postgres.run(CancellationToken::new()));
    kill(server(&place.folder).unwrap().process);
    let ended = tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
    assert!(matches!(ended, Err(RunError::Ended { .. })), "{ended:?}");

    // At once, while sessions of the old server may still be there.
    let postgres = place.start().await;
    assert_eq!(word(&postgres).await, "barrage");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_pid_file_does_not_harm_the_process_that_has_the_number_now() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();

    let mut innocent = place.command("sleep").arg("600").spawn().unwrap();
    let pid_file = format!(
        "{}\n{}\n1\n5432\n{}\n\n\nready\n",
        innocent.id(),
        place.data().display(),
        place.folder.join("socket").display()
    );
    fs::write(place.data().join("postmaster.pid"), pid_file).unwrap();

    let started = PrivatePostgres::start(&place.folder, throw_away()).await;
    let alive = innocent.try_wait().unwrap().is_none();
    innocent.kill().unwrap();
    innocent.wait().unwrap();
    // Elsewhere nothing tells a Postgres from another program, and the start says which file is in the way.
    if cfg!(target_os = "linux") {
        started.unwrap().stop().await.unwrap();
    }
    assert!(alive);
}

#[tokio::test]
async fn run_stops_the_server_when_it_is_told_to() {
    let place = Place::new();
    let postgres = place.start().await;
    let stop = CancellationToken::new();
    stop.cancel();
    postgres.run(stop).await.unwrap();
    assert_eq!(server(&place.folder), None);
}

#[tokio::test]
async fn dropping_shuts_down_too() {
    let place = Place::new();
    drop(place.start().await);
    until("the server has removed its pid file", || {
        server(&place.folder).is_none()
    });
}

#[tokio::test]
async fn an_interrupted_first_start_is_made_good_by_the_next() {
    let place = Place::new();
    fs::create_dir_all(place.folder.join("data.new/base")).unwrap();
    fs::write(place.folder.join("data.new/PG_VERSION"), "15\n").unwrap();
    fs::write(place.folder.join("postgres.lock"), "").unwrap();

    let postgres = place.start().await;
    execute(&postgres, "select 1").await;
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_is_used_by_one_process_at_a_time() {
    let place = Place::new();
    let postgres = place.start().await;
    let second = PrivatePostgres::start(&place.folder, throw_away()).await;
    assert!(matches!(second, Err(StartError::InUse { .. })), "{second:?}");
    execute(&postgres, "select 1").await;
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_path_that_is_too_long_or_odd_for_a_socket_is_no_obstacle() {
    for name in [
        "much-too-long-for-the-path-of-a-socket/".repeat(3),
        "with space, comma & \"quote\" 100%?".to_owned(),
    ] {
        let place = Place::below(&name);
        let postgres = place.start().await;
        execute(&postgres, "select 1").await;
        postgres.stop().await.unwrap();
        let postgres = place.start().await;
        postgres.stop().await.unwrap();
    }
}

#[tokio::test]
async fn the_tcp_port_wants_the_password() {
    let place = Place::new();
    // Taken and given back, so most likely still free; a port of somebody else would make the start fail, not pass.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let options = PostgresOptions {
        tcp_port: Some(port),
        ..throw_away()
    };
    let postgres = PrivatePostgres::start(&place.folder, options).await.unwrap();

    PgConnection::connect(&postgres.tcp_url().unwrap())
        .await
        .unwrap()
        .execute("select 1")
        .await
        .unwrap();
    execute(&postgres, "select 1").await;
    let refused = PgConnection::connect(&format!("postgres://weir:guess@127.0.0.1:{port}/weir")).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("password authentication failed")
    );
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let options = PostgresOptions {
        tcp_port: Some(taken),
        ..throw_away()
    };
    let refused = PrivatePostgres::start(&place.folder, options).await;
    assert!(
        matches!(refused, Err(StartError::PortTaken { port }) if port == taken),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_folder_with_other_things_in_it_is_left_alone() {
    let place = Place::new();
    fs::create_dir(&place.folder).unwrap();
    fs::write(place.folder.join("thesis.txt"), "chapter one").unwrap();
    let before = fs::metadata(&place.folder).unwrap();

    let refused = PrivatePostgres::start(&place.folder, throw_away()).await;
    assert!(matches!(refused, Err(StartError::NotOurs { .. })), "{refused:?}");
    let after = fs::metadata(&place.folder).unwrap();
    assert_eq!((before.mode(), before.uid()), (after.mode(), after.uid()));
    assert_eq!(fs::read_dir(&place.folder).unwrap().count(), 1);
}

#[tokio::test]
async fn a_folder_without_the_programs_is_named() {
    let place = Place::new();
    let options = PostgresOptions {
        binaries: Some(place.root.path().to_owned()),
        ..throw_away()
    };
    let refused = PrivatePostgres::start(&place.folder, options).await;
    assert!(
        matches!(&refused, Err(StartError::NoPrograms { folder }) if folder == place.root.path()),
        "{refused:?}"
    );
}

#[tokio::test]
async fn data_of_another_version_is_refused_before_anything_touches_it() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();
    fs::write(place.data().join("PG_VERSION"), "11\n").unwrap();
    let refused = PrivatePostgres::start(&place.folder, throw_away()).await;
    assert!(
        matches!(refused, Err(StartError::OtherVersion { data: 11, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();
    fs::write(place.data().join("postgresql.conf"), "no_such_setting = 7\n").unwrap();
    let refused = PrivatePostgres::start(&place.folder, throw_away())
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("no_such_setting"), "{refused}");
}

#[tokio::test]
async fn as_root_a_closed_folder_on_the_way_is_named() {
    let place = Place::new();
    if fs::metadata(place.root.path()).unwrap().uid() != 0 {
        // Only root starts the server as somebody else, so only root can meet this.
        return;
    }
    fs::set_permissions(place.root.path(), Permissions::from_mode(0o700)).unwrap();
    let refused = PrivatePostgres::start(&place.folder, throw_away()).await.unwrap_err();
    let closed = place.root.path().canonicalize().unwrap();
    assert!(
        matches!(&refused, StartError::Closed { closed: named, .. } if *named == closed),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("chmod a+x"), "{refused}");
}

/// Not a test of its own: started by [`hold`] as a process that is going to be killed, it holds a server for ever.
#[tokio::test]
async fn being_killed() {
    let Some(folder) = std::env::var_os(HOLD) else { return };
    let postgres = PrivatePostgres::start(Path::new(&folder), PostgresOptions::default())
        .await
        .unwrap();
    execute(
        &postgres,
        "create table kept (word text); insert into kept values ('committed')",
    )
    .await;
    fs::write(Path::new(&folder).join("held"), "").unwrap();
    std::future::pending::<()>().await;
}

/// Starts this program again, as [`being_killed`], and waits until it has committed something.
fn hold(folder: &Path) -> Child {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "being_killed", "--nocapture"])
        .env(HOLD, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the other process has a server", || {
        assert_eq!(process.try_wait().unwrap(), None, "the other process ended by itself");
        folder.join("held").exists()
    });
    process
}

/// A folder for a server, in a temporary one that a server's account may pass through.
struct Place {
    root: TempDir,
    folder: PathBuf,
}

impl Place {
    fn new() -> Place {
        Place::below("postgres")
    }

    fn below(name: &str) -> Place {
        let root = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .unwrap();
        Place {
            folder: root.path().join(name),
            root,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    async fn start(&self) -> PrivatePostgres {
        PrivatePostgres::start(&self.folder, throw_away()).await.unwrap()
    }

    /// Runs a program as the account that the server runs as.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let owner = fs::metadata(self.data()).unwrap();
        let mut command = Command::new(program);
        command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        if owner.uid() != fs::metadata(self.root.path()).unwrap().uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command
    }

    /// A server as a process that was killed together with the leash leaves it.
    fn start_without_us(&self) -> Child {
        let options = fs::read_to_string(self.data().join("postmaster.opts")).unwrap();
        let program = options.split_whitespace().next().unwrap();
        self.command(program)
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=", "-c"])
            .arg(format!(
                "unix_socket_directories={}",
                self.folder.join("socket").display()
            ))
            .spawn()
            .unwrap()
    }
}

#[derive(Debug, Eq, PartialEq)]
struct Server {
    process: u32,
    is_ready: bool,
}

/// What the pid file in the folder says.
fn server(folder: &Path) -> Option<Server> {
    let text = fs::read_to_string(folder.join("data/postmaster.pid")).ok()?;
    let process = text.lines().next()?.parse().ok()?;
    Some(Server {
        process,
        is_ready: text.lines().nth(7).is_some_and(|status| status.trim() == "ready"),
    })
}

fn throw_away() -> PostgresOptions {
    PostgresOptions {
        throw_away: true,
        ..PostgresOptions::default()
    }
}

async fn execute(postgres: &PrivatePostgres, sql: &'static str) {
    PgConnection::connect(&postgres.url())
        .await
        .unwrap()
        .execute(sql)
        .await
        .unwrap();
}

async fn word(postgres: &PrivatePostgres) -> String {
    let mut conn = PgConnection::connect(&postgres.url()).await.unwrap();
    sqlx::query_scalar("select word from kept")
        .fetch_one(&mut conn)
        .await
        .unwrap()
}

async fn show(conn: &mut PgConnection, setting: &str) -> String {
    sqlx::query_scalar("select current_setting($1)")
        .bind(setting)
        .fetch_one(conn)
        .await
        .unwrap()
}

fn kill(process: u32) {
    assert!(
        Command::new("/bin/sh")
            .args(["-c", "kill -9 \"$1\"", "sh", &process.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// Waits for something that comes by itself, and fails if it does not come.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
