//! Members with other bytes, and bundles that say something else while all that fits is made again.

use super::*;

/// Pieces that JSON, notes and tables are made of.
pub(super) const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "0",
    "1",
    "-",
    ".",
    "e",
    " ",
    "\n",
    "\n\n",
    "\r",
    "\t",
    "é",
    "\u{fb33}",
    "\u{1f600}",
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "\\u0000",
    "\\u001f",
    "\\ud83d\\ude00",
    "\\n",
    "\\/",
    "AAAA",
    "=",
    "00",
    "\u{2014}",
    "\u{85}",
    "\u{7f}",
];

pub(super) fn member(random: &mut Random) -> Vec<u8> {
    let mut archive = draft(random).seal();
    let member = random.below(7);
    let mut content = archive.contents[member].clone();
    let at = random.below(content.len() + 1);
    match random.below(5) {
        0 if at < content.len() => content[at] ^= 1 << random.below(8),
        1 => drop(content.drain(at..(at + 1 + random.below(20)).min(content.len()))),
        2 => content.truncate(at),
        3 => content = random.pick(PIECES).repeat(random.below(3)).into_bytes(),
        _ => drop(content.splice(at..at, random.pick(PIECES).bytes())),
    }
    archive.contents[member] = content;
    if member != BUNDLE {
        archive.rehash();
    }
    archive.to_bytes()
}

pub(super) fn lie(random: &mut Random) -> Vec<u8> {
    let mut lie = draft(random);
    for _ in 0..=random.below(2) {
        change(&mut lie, random);
    }
    if !random.once_in(3) {
        lie = lie.with_rows_where_possible();
    }
    let mut archive = lie.seal();
    if random.once_in(3) {
        another_tree(&mut archive, &lie, random);
        archive.rehash();
    }
    archive.to_bytes()
}

pub(super) fn change(lie: &mut Draft, random: &mut Random) {
    let Some(last) = lie.entries.len().checked_sub(1).filter(|_| !lie.disclosures.is_empty()) else {
        return;
    };
    let (one, other) = (random.below(last + 1), random.below(last + 1));
    let disclosure = one.min(lie.disclosures.len() - 1);
    match random.below(16) {
        0 => lie.entries.swap(one, other),
        1 => {
            lie.entries.swap(one, other);
            let end = lie.disclosures.len() - 1;
            lie.disclosures.swap(one.min(end), other.min(end));
        }
        2 | 3 => {
            lie.entries.remove(one);
            lie.disclosures.remove(disclosure);
        }
        4 => drop(lie.disclosures.remove(disclosure)),
        5 => {
            lie.entries.insert(other, lie.entries[one].clone());
            lie.disclosures
                .insert(other.min(lie.disclosures.len()), lie.disclosures[disclosure].clone());
        }
        6 | 7 => lie.entries[one] = changed_entry(&lie.entries[one], random),
        8 => another_text(&mut lie.entries[one], random),
        9 => {
            let other = other.min(lie.disclosures.len() - 1);
            lie.disclosures.swap(disclosure, other);
        }
        10 => another_text(&mut lie.disclosures[disclosure], random),
        11 => another_text(&mut lie.rows_json, random),
        12 => another_text(&mut lie.rows_csv, random),
        13 => {
            lie.ledger = random
                .pick(&["other", "", "a\\nb", "main2", "\\\"", "\u{85}"])
                .to_owned()
        }
        14 => drop(lie.before.pop()),
        _ => lie.before.push([7; 32]),
    }
}

pub(super) fn another_text(text: &mut String, random: &mut Random) {
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let at = places[random.below(places.len())];
    match random.below(3) {
        0 => text.insert_str(at, random.pick(PIECES)),
        1 if at < text.len() => drop(text.remove(at)),
        _ => {
            if at < text.len() {
                text.remove(at);
            }
            text.insert_str(at, random.pick(PIECES));
        }
    }
}

/// Root, proof or checkpoint of another tree.
pub(super) fn another_tree(archive: &mut Archive, lie: &Draft, random: &mut Random) {
    let text = String::from_utf8(archive.contents[PROOF].clone()).unwrap();
    let mut proof: Value = serde_json::from_str(&text).unwrap();
    let hash = || Value::from("5c".repeat(32));
    match random.below(7) {
        0 => archive.contents[CHECKPOINT] = checkpoint(&leaves(&history())).to_string().into_bytes(),
        1 => {
            let leaves = lie.leaves();
            let size = random.below(leaves.len() + 1);
            archive.contents[CHECKPOINT] = checkpoint(&leaves[..size]).to_string().into_bytes();
        }
        2 => {
            let mut more = lie.leaves();
            more.push([1; 32]);
            archive.contents[CHECKPOINT] = checkpoint(&more).to_string().into_bytes();
        }
        3 => {
            let hashes = proof["hashes"].as_array_mut().unwrap();
            hashes.insert(random.below(hashes.len() + 1), hash());
        }
        4 => drop(proof["hashes"].as_array_mut().unwrap().pop()),
        5 => proof["hashes"].as_array_mut().unwrap().reverse(),
        _ => {
            let size = [json!(7), json!(0), json!("7"), json!(null)][random.below(4)].clone();
            let hashes = [json!([]), json!([hash()]), json!(["5C"]), json!({})][random.below(4)].clone();
            proof["since"] = json!({ "hashes": hashes, "size": size });
        }
    }
    archive.contents[PROOF] = proof.to_string().into_bytes();
}
