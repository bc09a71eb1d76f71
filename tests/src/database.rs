//! A database of one test.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A fresh, empty database on the server that `tests/with-postgres` started.
pub struct TestDatabase {
    url: String,
}

impl TestDatabase {
    /// Makes it.
    ///
    /// # Panics
    ///
    /// There is no server.
    #[must_use]
    pub fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("WEIR_TEST_POSTGRES_URL").expect(
            "these tests want a Postgres: run them with `make test` or `tests/with-postgres cargo nextest run`",
        );
        let name = format!("weir_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        run_sql(&server, &format!("create database {name}"));
        Self {
            url: server.replacen("/postgres?", &format!("/{name}?"), 1),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL with `psql`, as an administrator would, and returns what it printed.
    ///
    /// # Panics
    ///
    /// It failed.
    #[must_use]
    pub fn psql(&self, sql: &str) -> String {
        run_sql(&self.url, sql)
    }
}

impl TestDatabase {
    /// Puts the whole database aside, as a back-up does. Nobody may be connected to it.
    ///
    /// # Panics
    ///
    /// Somebody is.
    pub fn back_up(&self) {
        let (server, name) = self.parts();
        run_sql(&server, &format!("create database {name}_backup template {name}"));
    }

    /// Puts the back-up in its place. Nobody may be connected to it.
    ///
    /// # Panics
    ///
    /// Somebody is, or there is no back-up.
    pub fn restore(&self) {
        let (server, name) = self.parts();
        run_sql(&server, &format!("drop database {name} with (force)"));
        run_sql(&server, &format!("alter database {name}_backup rename to {name}"));
    }

    /// Throws everybody out and lets nobody in.
    pub fn close(&self) {
        let (server, name) = self.parts();
        run_sql(&server, &format!("alter database {name} allow_connections false"));
        let everybody = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'");
        run_sql(&server, &everybody);
    }

    /// Lets everybody in again.
    pub fn open(&self) {
        let (server, name) = self.parts();
        run_sql(&server, &format!("alter database {name} allow_connections true"));
    }

    fn parts(&self) -> (String, String) {
        let before = self.url.find("/weir_").expect("named by `create`") + 1;
        let after = self.url[before..].find('?').map_or(self.url.len(), |end| before + end);
        let name = self.url[before..after].to_owned();
        (format!("{}postgres{}", &self.url[..before], &self.url[after..]), name)
    }
}

pub(crate) fn run_sql(url: &str, sql: &str) -> String {
    let output = Command::new("psql")
        .args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--command",
            sql,
            url,
        ])
        .output()
        .expect("psql is installed");
    assert!(
        output.status.success(),
        "{sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("psql prints UTF-8")
        .trim()
        .to_owned()
}
