//! `proof.json`: the hashes that make the root of the entries, and perhaps the way from an earlier checkpoint.
//!
//! ```json
//! {"hashes":["9f..",...],"since":{"hashes":["5c.."],"size":12}}
//! ```

use crate::canonical;
use crate::cursor::Cursor;
use crate::tree::Hash;

/// What `proof.json` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// Subtrees outside the range, from left to right.
    pub(super) hashes: Vec<Hash>,
    pub(super) since: Option<Since>,
}

/// Proves that the ledger begins with what it was at a smaller size.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Since {
    pub(super) hashes: Vec<Hash>,
    pub(super) size: u64,
}

impl Proof {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(std::str::from_utf8(bytes).ok()?);
        cursor.expect("{\"hashes\":")?;
        let hashes = read_hashes(&mut cursor)?;
        let since = if cursor.skips(",\"since\":{\"hashes\":") {
            let hashes = read_hashes(&mut cursor)?;
            cursor.expect(",\"size\":")?;
            let size = cursor.integer()?;
            cursor.expect("}")?;
            Some(Since { hashes, size })
        } else {
            None
        };
        cursor.expect("}")?;
        cursor.end()?;
        Some(Self { hashes, since })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = b"{\"hashes\":".to_vec();
        write_hashes(&self.hashes, &mut out);
        if let Some(since) = &self.since {
            out.extend_from_slice(b",\"since\":{\"hashes\":");
            write_hashes(&since.hashes, &mut out);
            out.extend_from_slice(b",\"size\":");
            canonical::integer(since.size, &mut out);
            out.push(b'}');
        }
        out.push(b'}');
        out
    }
}

fn read_hashes(cursor: &mut Cursor<'_>) -> Option<Vec<Hash>> {
    let mut hashes = Vec::new();
    cursor.expect("[")?;
    if cursor.skips("]") {
        return Some(hashes);
    }
    loop {
        hashes.push(cursor.hash()?);
        if !cursor.skips(",") {
            cursor.expect("]")?;
            return Some(hashes);
        }
    }
}

fn write_hashes(hashes: &[Hash], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, hash) in hashes.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        canonical::hex(hash, out);
        out.push(b'"');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proofs() -> [Proof; 3] {
        let since = |hashes| Some(Since { hashes, size: 12 });
        [
            Proof {
                hashes: vec![],
                since: None,
            },
            Proof {
                hashes: vec![[1; 32], [2; 32]],
                since: since(vec![]),
            },
            Proof {
                hashes: vec![[1; 32]],
                since: since(vec![[3; 32]]),
            },
        ]
    }

    #[test]
    fn it_reads_back_as_it_was_written() {
        for proof in proofs() {
            assert_eq!(Proof::parse(&proof.write()).as_ref(), Some(&proof));
        }
        assert_eq!(proofs()[0].write(), b"{\"hashes\":[]}");
    }

    #[test]
    fn other_members_and_another_form_are_refused() {
        let text = String::from_utf8(proofs()[1].write()).unwrap();
        for (from, to) in [
            ("\"size\":12", "\"size\":-1"),
            ("\"size\":12", "\"size\":12,\"to\":1"),
            (",\"size\":12", ""),
            ("\"since\"", "\"sinse\""),
            ("0101\",", "0101\", "),
            ("0101\",", "0101\","),
            ("[\"01", "[\"0101"),
            ("}}", "}}\n"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert!(
                text.contains(from) && (changed == text || Proof::parse(changed.as_bytes()).is_none()),
                "{to}"
            );
        }
        for wrong in [
            "",
            "{}",
            "[]",
            "{\"hashes\":[],}",
            "{\"hashes\":[1]}",
            "{\"hashes\":[\"\"]}",
        ] {
            assert_eq!(Proof::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
