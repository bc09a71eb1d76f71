//! `bundle.json`: which range of which ledger, and what the other members are.
//!
//! ```json
//! {"files":[{"bytes":276,"name":"checkpoint","sha256":"9f.."},...],"from":40,"ledger":"main","to":140}
//! ```

use sha2::{Digest as _, Sha256};

use crate::canonical;
use crate::cursor::Cursor;
use crate::report::Member;
use crate::tree::Hash;

/// The members that are described: all but `bundle.json` itself.
pub(super) const DESCRIBED: usize = Member::ALL.len() - 1;

/// What `bundle.json` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) files: [File; DESCRIBED],
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) ledger: String,
}

/// Size and hash of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) bytes: u64,
    pub(super) sha256: Hash,
}

impl File {
    pub(super) fn of(content: &[u8]) -> Self {
        Self {
            bytes: content.len() as u64,
            sha256: Sha256::digest(content).into(),
        }
    }
}

impl Manifest {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(std::str::from_utf8(bytes).ok()?);
        let mut files = [File {
            bytes: 0,
            sha256: [0; 32],
        }; DESCRIBED];
        cursor.expect("{\"files\":[")?;
        for (index, (member, file)) in described().zip(&mut files).enumerate() {
            cursor.expect(if index == 0 { "{\"bytes\":" } else { ",{\"bytes\":" })?;
            file.bytes = cursor.integer()?;
            cursor.expect(",\"name\":\"")?;
            cursor.expect(member.name())?;
            cursor.expect("\",\"sha256\":")?;
            file.sha256 = cursor.hash()?;
            cursor.expect("}")?;
        }
        cursor.expect("],\"from\":")?;
        let from = cursor.integer()?;
        cursor.expect(",\"ledger\":")?;
        let mut ledger = String::new();
        cursor.string(&mut ledger)?;
        cursor.expect(",\"to\":")?;
        let to = cursor.integer()?;
        cursor.expect("}")?;
        cursor.end()?;
        (from <= to).then_some(Self {
            files,
            from,
            to,
            ledger,
        })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = b"{\"files\":[".to_vec();
        for (index, (member, file)) in described().zip(&self.files).enumerate() {
            let begin: &[u8] = if index == 0 { b"{\"bytes\":" } else { b",{\"bytes\":" };
            out.extend_from_slice(begin);
            canonical::integer(file.bytes, &mut out);
            out.extend_from_slice(b",\"name\":");
            canonical::string(member.name(), &mut out);
            out.extend_from_slice(b",\"sha256\":\"");
            canonical::hex(&file.sha256, &mut out);
            out.extend_from_slice(b"\"}");
        }
        out.extend_from_slice(b"],\"from\":");
        canonical::integer(self.from, &mut out);
        out.extend_from_slice(b",\"ledger\":");
        canonical::string(&self.ledger, &mut out);
        out.extend_from_slice(b",\"to\":");
        canonical::integer(self.to, &mut out);
        out.push(b'}');
        out
    }
}

pub(super) fn described() -> impl Iterator<Item = Member> {
    Member::ALL.into_iter().skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            files: [File::of(b"abc"); DESCRIBED],
            from: 40,
            to: 140,
            ledger: "ma\"in".to_owned(),
        }
    }

    #[test]
    fn it_reads_back_as_it_was_written() {
        let written = manifest().write();
        assert_eq!(Manifest::parse(&written), Some(manifest()));
        let text = String::from_utf8(written).unwrap();
        assert!(text.starts_with("{\"files\":[{\"bytes\":3,\"name\":\"checkpoint\",\"sha256\":\"ba7816bf"));
        assert!(text.ends_with("\"}],\"from\":40,\"ledger\":\"ma\\\"in\",\"to\":140}"));
    }

    #[test]
    fn other_members_another_order_and_another_form_are_refused() {
        let text = String::from_utf8(manifest().write()).unwrap();
        for (from, to) in [
            ("\"from\":40", "\"from\":141"),
            ("\"from\":40", "\"from\":040"),
            ("\"from\":40", "\"from\": 40"),
            ("\"to\":140", "\"to\":9007199254740992"),
            ("\"to\":140", "\"to\":140,\"when\":1"),
            ("\"checkpoint\"", "\"rows.csv\""),
            ("\"ledger\":\"ma\\\"in\"", "\"ledger\":1"),
            ("ba7816bf", "BA7816BF"),
            ("}],", "},{}],"),
            ("140}", "140}\n"),
        ] {
            assert!(
                text.contains(from) && Manifest::parse(text.replacen(from, to, 1).as_bytes()).is_none(),
                "{to}"
            );
        }
        assert_eq!(Manifest::parse(b"\xff"), None);
    }
}
