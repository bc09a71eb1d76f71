//! Where the programs of Postgres are.
//!
//! A place that was named is the only one looked at. Else the places are tried in an order that respects what the
//! machine's owner chose: `pg_config`, the `PATH`, then the folders of known packages, newest first. A folder that
//! already holds data takes the first installation of its version: data of one major version is of no use to another.

use std::fs;
use std::path::{Path, PathBuf};

use super::StartError;
use super::account::Account;
use super::home::Home;

/// Folders of known packages: before and after the part that names a version.
const PACKAGES: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),          // Debian and Ubuntu
    ("/usr", "pgsql-", "bin"),                   // Postgres' own packages for Red Hat
    ("/opt/homebrew/opt", "postgresql@", "bin"), // Homebrew on Apple's processors
    ("/usr/local/opt", "postgresql@", "bin"),    // Homebrew on Intel's
    ("/usr/local", "pgsql", "bin"),              // built from source
];

/// The programs of one Postgres.
#[derive(Debug)]
pub(super) struct Installation {
    folder: PathBuf,
    pub(super) major: u32,
}

impl Installation {
    /// Finds the installation for `home`, only in `named` if that is given.
    pub(super) async fn find(named: Option<&Path>, home: &Home) -> Result<Installation, StartError> {
        let named = named
            .map(Path::to_owned)
            .or_else(|| std::env::var_os("WEIR_POSTGRES_BIN").map(PathBuf::from));
        let places = match &named {
            Some(folder) => vec![folder.clone()],
            None => known_places().await,
        };

        let data = fs::read_to_string(home.data().join("PG_VERSION"))
            .ok()
            .and_then(|text| leading_number(&text));
        let mut first = None;
        for folder in places {
            let Some(installation) = Installation::at(folder).await else {
                continue;
            };
            match data {
                Some(data) if data != installation.major => first = first.or(Some(installation)),
                _ => return Ok(installation),
            }
        }
        Err(match (first, data, named) {
            (Some(other), Some(data), _) => StartError::OtherVersion {
                folder: home.data(),
                data,
                installed: other.major,
            },
            (_, _, Some(folder)) => StartError::NoPrograms { folder },
            (_, _, None) => StartError::NotInstalled,
        })
    }

    /// The full path of one program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The installation in `folder`, if there is one that runs.
    async fn at(folder: PathBuf) -> Option<Installation> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let mut postgres = Account::OURS.command(folder.join("postgres"));
        postgres.arg("--version");
        // "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"
        let answer = Account::OURS.answer(postgres).await.ok()?;
        let major = leading_number(answer.split_once("(PostgreSQL) ")?.1)?;
        Some(Installation { folder, major })
    }
}

async fn known_places() -> Vec<PathBuf> {
    let mut places = Vec::new();

    let mut pg_config = Account::OURS.command("pg_config");
    pg_config.arg("--bindir");
    // Not installed is the common case, and no reason to stop looking.
    if let Ok(folder) = Account::OURS.answer(pg_config).await {
        places.push(PathBuf::from(folder));
    }
    if let Some(path) = std::env::var_os("PATH") {
        places.extend(std::env::split_paths(&path));
    }
    for (parent, prefix, programs) in PACKAGES {
        places.extend(
            versions(Path::new(parent), prefix)
                .into_iter()
                .map(|folder| folder.join(programs)),
        );
    }
    places
}

/// The folders `<parent>/<prefix><version>`, newest first; a name without a version comes last.
fn versions(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?;
            let major = if version.is_empty() {
                0
            } else {
                leading_number(version)?
            };
            Some((major, entry.path()))
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{leading_number, versions};

    #[test]
    fn the_major_version_is_the_number_in_front() {
        assert_eq!(leading_number("15.14 (Debian 15.14-0+deb12u1)"), Some(15));
        assert_eq!(leading_number("19beta1"), Some(19));
        assert_eq!(leading_number("16\n"), Some(16));
        assert_eq!(leading_number("devel"), None);
    }

    #[test]
    fn newer_versions_come_first_and_as_numbers() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pgsql-9", "pgsql-16", "pgsql-15", "pgsql", "other"] {
            std::fs::create_dir(parent.path().join(name)).unwrap();
        }
        let names = |prefix| -> Vec<_> {
            versions(parent.path(), prefix)
                .iter()
                .map(|path| path.file_name().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names("pgsql-"), ["pgsql-16", "pgsql-15", "pgsql-9"]);
        assert_eq!(names("pgsql"), ["pgsql"]);
    }
}
