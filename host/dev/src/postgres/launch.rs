//! Bringing the server up: one child process, tied to us, that takes connections.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::account::CommandError;
use super::home::Home;
use super::installation::Installation;
use super::leash::Leash;
use super::left_behind::PidFile;
use super::{PostgresOptions, SOCKET_PORT, StartError};

/// A start takes 1 to 4 s; after a crash it replays the log first, at most a few checkpoints' worth.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a new server waits for an old one that is on its way out.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(15);

/// How often we look whether the server has got further.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// What a server says, with exit, that found another one still leaving: its pid file, or a session of it that has
/// not noticed yet that its server was killed. (`CreateLockFile` in Postgres' `miscinit.c`, and `sysv_shmem.c`.)
const ANOTHER_IS_LEAVING: [&str; 2] = [
    "lock file \"postmaster.pid\" already exists",
    "pre-existing shared memory block",
];

/// Starts the server and waits until it takes connections.
pub(super) async fn start(
    home: &Home,
    installation: &Installation,
    socket_folder: &Path,
    options: &PostgresOptions,
) -> Result<(Child, Leash), StartError> {
    if let Some(port) = options.tcp_port {
        // Asked here, because in the server's log the answer drowns. Free again at once, for the server to take.
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|_| StartError::PortTaken { port })?;
    }

    let patient_until = Instant::now() + HAND_OVER_TIMEOUT;
    loop {
        match start_once(home, installation, socket_folder, options).await {
            Err(StartError::Ended { log, .. })
                if ANOTHER_IS_LEAVING.iter().any(|sign| log.contains(sign)) && Instant::now() < patient_until =>
            {
                tokio::time::sleep(10 * LOOK_PERIOD).await;
            }
            result => return result,
        }
    }
}

async fn start_once(
    home: &Home,
    installation: &Installation,
    socket_folder: &Path,
    options: &PostgresOptions,
) -> Result<(Child, Leash), StartError> {
    let mut server = command(home, installation, socket_folder, options)?
        .spawn()
        .map_err(|source| CommandError::NotRun {
            program: "postgres".to_owned(),
            source,
        })?;
    let process = server.id().expect("a child has an id until its exit status was taken");
    let leash = match Leash::tie(home.account, process) {
        Ok(leash) => leash,
        Err(error) => {
            let _ = server.kill().await;
            return Err(error.into());
        }
    };

    let ready = async {
        while !PidFile::read(&home.data()).is_some_and(|file| file.process == process && file.says_ready()) {
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    };
    let failure = tokio::select! {
        () = ready => return Ok((server, leash)),
        _ = server.wait() => StartError::Ended { log_file: home.log_file(), log: home.log_tail() },
        () = tokio::time::sleep(READY_TIMEOUT) => {
            // Killed rather than shut down: a server that cannot even start does not write a checkpoint either.
            let _ = server.kill().await;
            StartError::NotReady { waited: READY_TIMEOUT, log_file: home.log_file(), log: home.log_tail() }
        }
    };
    leash.release().await;
    Err(failure)
}

fn command(
    home: &Home,
    installation: &Installation,
    socket_folder: &Path,
    options: &PostgresOptions,
) -> Result<Command, StartError> {
    let log = home.new_file(&home.log_file()).map_err(|source| home.failed(source))?;
    let also_log = log.try_clone().map_err(|source| home.failed(source))?;

    let listen = if options.tcp_port.is_some() { "127.0.0.1" } else { "" };
    let mut settings = vec![
        format!("listen_addresses={listen}"),
        format!("port={}", options.tcp_port.unwrap_or(SOCKET_PORT)),
        // A list; in quotes a comma or a space is part of the path.
        format!(
            "unix_socket_directories=\"{}\"",
            socket_folder.display().to_string().replace('"', "\"\"")
        ),
        "unix_socket_permissions=0700".to_owned(),
    ];
    if options.throw_away {
        settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
    }

    let mut command = home.account.command(installation.program("postgres"));
    command.arg("-D").arg(home.data()).stdout(log).stderr(also_log);
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    Ok(command)
}
