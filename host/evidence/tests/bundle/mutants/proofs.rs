//! Earlier checkpoints, and the files for those who have them; and all of this in a `.tlog-proof`.

use super::*;

/// A checkpoint that the auditor held before, and the size that bundles are made for.
pub(super) fn earlier(random: &mut Random, index: usize) -> (Vec<u8>, usize) {
    let leaves = leaves(&history());
    let size = [0, 1, 2, 7, 8, 12, 15, 16][index % 8];
    let since = match index {
        0..8 => checkpoint(&leaves[..size]).to_string().into_bytes(),
        8..12 => checkpoint(&vec![[8; 32]; size + 1]).to_string().into_bytes(),
        12 => checkpoint(&[&leaves[..], &[[8; 32]]].concat()).to_string().into_bytes(),
        13 => vec![],
        14 => b"note\n".to_vec(),
        _ => checkpoint_of(&leaves[..size], random),
    };
    (since, size)
}

/// A bundle with a proof of consistency that may be wrong.
pub(super) fn made_for(random: &mut Random, size: usize) -> Vec<u8> {
    let mut lie = draft(random);
    let leaves = lie.leaves();
    let size = if random.once_in(4) {
        random.below(leaves.len() + 1)
    } else {
        size
    };
    let mut hashes = roots(&leaves, &consistency_ranges(size as u64, leaves.len() as u64));
    match random.below(6) {
        0 => drop(hashes.pop()),
        1 => hashes.push(node_hash(&[1; 32], &[2; 32])),
        2 => hashes.reverse(),
        _ => {}
    }
    let hashes: Vec<String> = hashes.iter().map(|hash| format!("\"{}\"", hex::encode(hash))).collect();
    if !random.once_in(8) {
        lie.since = format!(",\"since\":{{\"hashes\":[{}],\"size\":{size}}}", hashes.join(","));
    }
    lie.seal().to_bytes()
}

/// The proof of one entry, with something changed.
pub(super) fn proof(random: &mut Random) -> Vec<u8> {
    let history = history();
    let index = random.below(history.len());
    let mut entry = history[index].entry.clone();
    let mut disclosure = Vec::new();
    history[index].disclosure.write(&mut disclosure);
    let mut disclosure: Value = serde_json::from_slice(&disclosure).unwrap();
    match random.below(8) {
        0 | 1 => entry = changed_entry(&entry, random),
        2 => {
            let mut members: Value = serde_json::from_str(&entry).unwrap();
            members["v"] = json!(2);
            entry = members.to_string();
        }
        3 => another_text(&mut entry, random),
        _ => {}
    }
    if random.once_in(4) {
        let others = [
            json!({}),
            json!({"attributes": []}),
            json!([]),
            json!(1),
            json!({"other": [{}]}),
            json!(""),
        ];
        disclosure = others[random.below(others.len())].clone();
    }
    let mut leaves = leaves(&history);
    leaves[index] = leaf_hash(entry.as_bytes());
    let mut extra = json!({"disclosure": disclosure, "entry": entry});
    if random.once_in(16) {
        extra[random.pick(&["more", "entry", "disclosure"])] = json!({});
    }
    let mut extra = extra.to_string();
    if random.once_in(12) {
        another_text(&mut extra, random);
    }
    let ranges = inclusion_ranges(index as u64, leaves.len() as u64);
    let mut hashes: Vec<String> = roots(&leaves, &ranges).iter().map(|hash| BASE64.encode(hash)).collect();
    match random.below(24) {
        0 => drop(hashes.pop()),
        1 => hashes.push(BASE64.encode([1; 32])),
        2 => hashes.reverse(),
        3 => hashes[0] = BASE64.encode([1; 31]),
        4 => hashes[0] = hashes[0].replace('=', ""),
        _ => {}
    }
    let head = if random.once_in(4) {
        String::from_utf8(checkpoint_of(&leaves, random)).unwrap()
    } else {
        checkpoint(&leaves).to_string()
    };
    let shown_index = if random.once_in(16) {
        index ^ random.below(32)
    } else {
        index
    };
    let lines: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
    let header = if random.once_in(40) {
        random.pick(&[
            "c2sp.org/tlog-proof@v2",
            "c2sp.org/tlog-proof@v1 ",
            "c2sp.org/tlog-proof",
            "",
        ])
    } else {
        "c2sp.org/tlog-proof@v1"
    };
    let text = format!(
        "{header}\nextra {}\nindex {shown_index}\n{lines}\n{head}",
        BASE64.encode(extra)
    );
    let mut file = text.into_bytes();
    if random.once_in(3) {
        let at = random.below(file.len());
        match random.below(3) {
            0 => file[at] ^= 1 << random.below(8),
            1 => file.truncate(at),
            _ => drop(file.splice(at..at, random.pick(PIECES).bytes())),
        }
    }
    file
}
