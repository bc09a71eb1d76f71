//! The bearer token: made at the first start, kept in a file that only its owner can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Who presents this text may ask and steer.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("the token file {} cannot be used: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is there, but holds nothing.
    #[error("the token file {} is empty; remove it, and the next start writes a new one", .0.display())]
    Empty(PathBuf),
    /// The operating system gave no randomness.
    #[error("no randomness for a token: {0}")]
    Randomness(getrandom::Error),
}

impl Token {
    /// Reads the token, or makes one and writes it to a new file with mode 0600.
    ///
    /// # Errors
    ///
    /// The file cannot be used.
    pub fn read_or_create(path: &Path) -> Result<Self, TokenError> {
        let mut random = [0; TOKEN_BYTES];
        getrandom::fill(&mut random).map_err(TokenError::Randomness)?;
        let fresh = hex::encode(random);
        match write_new(path, fresh.as_bytes()) {
            Ok(()) => Ok(Self(fresh)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(path),
            Err(error) => Err(TokenError::File {
                path: path.to_owned(),
                error,
            }),
        }
    }

    /// Reads the token.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is empty.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text = fs::read_to_string(path).map_err(|error| TokenError::File {
            path: path.to_owned(),
            error,
        })?;
        let token = text.trim();
        if token.is_empty() {
            Err(TokenError::Empty(path.to_owned()))
        } else {
            Ok(Self(token.to_owned()))
        }
    }

    /// The text, for the header of a request.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not tell how much was right.
    pub(crate) fn is(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

/// Writes a secret to a file that is not there yet, with mode 0600. It is there whole or not at all, also after a crash.
///
/// # Errors
///
/// `AlreadyExists` if it is there; nothing was written then.
pub fn write_new(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(secret)?;
    file.sync_all()?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    linked
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_first_start_writes_a_token_that_only_its_owner_can_read_and_the_next_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let first = Token::read_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Token::read_or_create(&path).unwrap();
        assert!(second.is(first.as_str()) && !second.is("") && first.as_str().len() == 64);
    }

    #[test]
    fn an_empty_token_file_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "\n").unwrap();
        assert!(matches!(Token::read_or_create(&path), Err(TokenError::Empty(_))));
    }
}
