//! Attributes that are shown, under paths and with values that may be none.

use super::*;

pub(super) const PATHS: &[&str] = &[
    "/actor",
    "/keys/id",
    "/new/",
    "/new/a",
    "/new/a~0",
    "/new/a~1b",
    "/new/b",
    "/new/\u{1f600}",
    "/new/\u{fb33}",
    "/new/a\nb",
    "/new/\"q\"",
    "/new/=1+1",
    "/old/x",
    "/raw",
    "/reason",
    "/new/a~2",
    "/new/~",
    "/new/a/b",
    "/now/x",
    "",
    "/",
    "actor",
    "/new",
    "/actor/",
    "/keys/",
];

/// How many of [`PATHS`] there may be.
pub(super) const PATHS_RIGHT: usize = 15;

pub(super) const VALUES: &[&str] = &[
    r#""maria""#,
    r#""""#,
    r#""a\nb""#,
    r#""=1\"x,""#,
    r#"{"S":"1"}"#,
    r#"{"L":[]}"#,
    r#"{"":""}"#,
    r#"{"S":1}"#,
    "{\"M\":{\"\u{1f600}\":1,\"\u{fb33}\":2}}",
    "{\"M\":{\"\u{fb33}\":1,\"\u{1f600}\":2}}",
    r#"{"a":{"":1,"\n":2," ":3}}"#,
    r#"{"a":[true,false,null]}"#,
    r#"{"N":9007199254740991}"#,
    "{}",
    r#"{"a":1,"b":2}"#,
    r#"{"S": "1"}"#,
    "1",
    "null",
    "[]",
    r#""\u00e9""#,
    r#""\ud800""#,
    r#""\u001f""#,
    r#""\u001F""#,
    r#"{"N":9007199254740992}"#,
    r#"{"N":-0}"#,
    r#"{"N":1.0}"#,
    r#"{"N":1e5}"#,
    "true",
    "\"\u{7f}\"",
    r#""\/""#,
    "",
    " ",
    r#"{"a":{"b":1,"a":2}}"#,
    r#"{"a":{"a":1,"a":1}}"#,
    r#"{"a":[1,]}"#,
    "\"a",
    "{\"a\":\"\t\"}",
    r#"{"\u000a":1}"#,
    r#"{"\n":01}"#,
];

/// An entry that commits to what is shown, whatever that is.
pub(super) fn disclosures(random: &mut Random) -> Vec<u8> {
    let mut lie = Draft::of_history();
    let index = [1, 2, 3, 6, 7, 9, 12, 14][random.below(8)];
    let disclosure = shown(random);
    let commitment = disclosure.commitment().map(|commitment| hex::encode(commitment.0));
    let mut line = Vec::new();
    disclosure.write(&mut line);
    lie.disclosures[index] = String::from_utf8(line).unwrap();
    if let Some(commitment) = commitment.filter(|_| !random.once_in(20)) {
        let mut entry: Value = serde_json::from_str(&lie.entries[index]).unwrap();
        entry["commitment"] = json!(commitment);
        lie.entries[index] = entry.to_string();
    }
    if random.once_in(20) {
        another_text(&mut lie.disclosures[index], random);
    }
    lie.with_rows_where_possible().seal().to_bytes()
}

pub(super) fn shown(random: &mut Random) -> Disclosure {
    let mut paths: Vec<&str> = PATHS[..PATHS_RIGHT]
        .iter()
        .filter(|_| random.once_in(3))
        .copied()
        .collect();
    if !random.once_in(6) {
        paths.sort_unstable();
    }
    if random.once_in(6) {
        paths.push(random.pick(PATHS));
    }
    let mut disclosure = Disclosure::with_attributes();
    for path in paths {
        if random.once_in(4) {
            disclosure.hide([5; 32]);
        }
        let is_text = matches!(path, "/actor" | "/raw" | "/reason");
        let deep = |levels: usize| format!("{{\"L\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let value = match random.below(16) {
            0 => random.pick(VALUES).to_owned(),
            1 => deep(98 + random.below(4)),
            _ if is_text => VALUES[random.below(4)].to_owned(),
            _ => VALUES[4 + random.below(9)].to_owned(),
        };
        disclosure.show(path, [6; 32], &value);
    }
    disclosure
}
