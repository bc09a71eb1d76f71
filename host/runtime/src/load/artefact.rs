//! Machine code of components, kept between starts: what takes seconds to compile is there in a millisecond.
//!
//! ```text
//! <digest of the component>-<fingerprint of the engine>.cwasm:  MAC (32 bytes), then what Wasmtime wrote
//! ```
//!
//! # Invariants
//!
//! - Only what this installation compiled is run: the MAC is over component, engine and code, under a key that others do not
//!   have. A file that was changed, cut off or put under another name is thrown away, and the component compiled again.
//! - A file is whole or not there. There are at most as many as are configured here; the oldest go.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of the MAC.
const MAC_BYTES: usize = 32;

/// Files that are kept.
const FILES_MAX: usize = 4000;

/// Where machine code is kept, and what it is authenticated with.
pub(crate) struct Artefacts {
    folder: PathBuf,
    key: [u8; 32],
}

/// Machine code that was kept, and is what was written here.
pub(super) struct Kept {
    file: Vec<u8>,
}

impl Kept {
    pub(super) fn code(&self) -> &[u8] {
        &self.file[MAC_BYTES..]
    }
}

impl Artefacts {
    pub(crate) fn new(folder: PathBuf, key: [u8; 32]) -> Self {
        Self { folder, key }
    }

    /// The machine code of a component, if it was kept. What is there and not ours is removed.
    pub(super) fn find(&self, digest: &[u8; 32], fingerprint: u64) -> Option<Kept> {
        let path = self.path(digest, fingerprint);
        let kept = fs::read(&path).ok()?;
        let authentic = kept.split_at_checked(MAC_BYTES).is_some_and(|(mac, code)| {
            let computed = self.mac(digest, fingerprint, code);
            computed.verify_slice(mac).is_ok()
        });
        if !authentic {
            tracing::error!(
                file = %path.display(),
                "this compiled plugin is not what was written here; it is thrown away, and the plugin compiled again"
            );
            let _ = fs::remove_file(&path);
            return None;
        }
        Some(Kept { file: kept })
    }

    /// Keeps machine code. That this fails costs time at the next start, and nothing else.
    pub(super) fn keep(&self, digest: &[u8; 32], fingerprint: u64, code: &[u8]) {
        let mac = self.mac(digest, fingerprint, code).finalize().into_bytes();
        if let Err(error) = self.write(&self.path(digest, fingerprint), &mac, code) {
            tracing::warn!(folder = %self.folder.display(), %error, "a compiled plugin cannot be kept");
        }
    }

    fn write(&self, path: &Path, mac: &[u8], code: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        self.make_room()?;
        // Beside its place, then renamed. Two who write the same at once write the same.
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(mac)?;
        file.write_all(code)?;
        drop(file);
        fs::rename(&beside, path)
    }

    fn make_room(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            files.push((file.metadata()?.modified()?, file.path()));
        }
        files.sort_unstable();
        let old = files.len().saturating_sub(FILES_MAX - 1);
        for (_, path) in files.drain(..old) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn path(&self, digest: &[u8; 32], fingerprint: u64) -> PathBuf {
        self.folder
            .join(format!("{}-{fingerprint:016x}.cwasm", hex::encode(digest)))
    }

    fn mac(&self, digest: &[u8; 32], fingerprint: u64, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(b"weir/artefact/v1");
        mac.update(digest);
        mac.update(&fingerprint.to_be_bytes());
        mac.update(code);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: [u8; 32] = [7; 32];

    fn kept_in(folder: &Path) -> Artefacts {
        let artefacts = Artefacts::new(folder.join("kept"), [1; 32]);
        artefacts.keep(&DIGEST, 5, b"machine code");
        artefacts
    }

    fn file(artefacts: &Artefacts) -> PathBuf {
        artefacts.path(&DIGEST, 5)
    }

    #[test]
    fn what_was_kept_is_found_by_component_and_engine() {
        let folder = tempfile::tempdir().unwrap();
        let artefacts = kept_in(folder.path());
        assert_eq!(artefacts.find(&DIGEST, 5).unwrap().code(), b"machine code");
        assert!(artefacts.find(&DIGEST, 6).is_none());
        assert!(artefacts.find(&[8; 32], 5).is_none());
    }

    #[test]
    fn what_was_changed_anywhere_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let whole = fs::read(file(&kept_in(folder.path()))).unwrap();
        for place in 0..whole.len() {
            let artefacts = kept_in(folder.path());
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(file(&artefacts), changed).unwrap();
            assert!(artefacts.find(&DIGEST, 5).is_none(), "{place}");
            assert!(!file(&artefacts).exists(), "{place}");
        }
        for length in 0..whole.len() {
            let artefacts = kept_in(folder.path());
            fs::write(file(&artefacts), &whole[..length]).unwrap();
            assert!(artefacts.find(&DIGEST, 5).is_none(), "{length}");
        }
    }

    #[test]
    fn what_is_of_another_key_component_or_engine_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let artefacts = kept_in(folder.path());
        let others = Artefacts::new(folder.path().join("kept"), [2; 32]);
        assert!(others.find(&DIGEST, 5).is_none());
        let artefacts = {
            drop(artefacts);
            kept_in(folder.path())
        };
        fs::copy(file(&artefacts), artefacts.path(&[8; 32], 5)).unwrap();
        fs::copy(file(&artefacts), artefacts.path(&DIGEST, 6)).unwrap();
        assert!(artefacts.find(&[8; 32], 5).is_none());
        assert!(artefacts.find(&DIGEST, 6).is_none());
        assert!(artefacts.find(&DIGEST, 5).is_some());
    }

    #[test]
    fn nobody_else_can_read_what_is_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = fs::metadata(file(&kept_in(folder.path())))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
