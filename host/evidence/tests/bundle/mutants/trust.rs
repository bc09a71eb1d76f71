//! Whom auditors trust: keys that did not sign, and policies with witnesses and quorums.

use super::*;

pub(super) fn witness(number: usize) -> Cosigner {
    Cosigner::new(format!("w{number}.example"), &[20 + u8::try_from(number).unwrap(); 32]).unwrap()
}

/// Two of three witnesses.
pub(super) fn quorum() -> Trust {
    let witnesses: Vec<String> = (0..3)
        .map(|number| format!("witness W{number} {}\n", witness(number).verifier_key()))
        .collect();
    let log = key().verifier_key();
    Trust::Policy(format!("log {log}\n{}group G 2 W0 W1 W2\nquorum G\n", witnesses.concat()).into_bytes())
}

/// A checkpoint that some witnesses cosigned.
pub(super) fn witnessed(random: &mut Random) -> Vec<u8> {
    let lie = Draft::of_history();
    let mut archive = lie.seal();
    let mut head = checkpoint(&lie.leaves());
    for number in 0..4 {
        let times = [0, 1_772_366_400, (1 << 63) - 1, 1 << 63, u64::MAX];
        let time = if random.once_in(12) {
            times[random.below(5)]
        } else {
            times[1]
        };
        let text = head.note().text();
        let line = match random.below(16) {
            0..6 => continue,
            6 => witness(number).cosign(&format!("{text}more\n"), time),
            _ => witness(number).cosign(text, time),
        };
        head.add_signature_lines(&format!("{line}\n")).unwrap();
    }
    archive.contents[CHECKPOINT] = head.to_string().into_bytes();
    archive.rehash();
    archive.to_bytes()
}

/// Keys of others, and texts that are no keys.
pub(super) fn other_keys() -> Vec<Trust> {
    let vkey = |name: &str, seed| {
        SigningKey::new(name.to_owned(), &[seed; 32])
            .unwrap()
            .verifier_key()
            .to_string()
    };
    let good = vkey("log.example/main", 1);
    let no_point = {
        let material = [&[1][..], &[2], &[0; 31]].concat();
        let name = b"log.example/main";
        let id = <sha2::Sha256 as sha2::Digest>::digest([&name[..], b"\n", &material].concat());
        format!("log.example/main+{}+{}", hex::encode(&id[..4]), BASE64.encode(material))
    };
    let keys = [
        vkey("log.example/main", 2),
        vkey("log.example/other", 1),
        witness(0).verifier_key().to_string(),
        no_point,
        good.replace('+', "-"),
        good.replacen("+", "+0", 1),
        format!("{good}A"),
        good.to_uppercase(),
        format!(" {good}"),
        String::new(),
    ];
    keys.into_iter().map(Trust::Key).collect()
}

/// A policy with a line or two that may be wrong.
pub(super) fn policy_file(random: &mut Random) -> Vec<u8> {
    let (log, first, second) = (
        key().verifier_key(),
        witness(0).verifier_key(),
        witness(1).verifier_key(),
    );
    let mut lines = vec![
        format!("log {log} https://log.example"),
        format!("witness A {first}"),
        format!("witness  B\t{second} https://w.example "),
        format!(
            "group both {} A B",
            random.pick(&["all", "2", "any", "1", "02", "3", "0", "x", "-1"])
        ),
        format!(
            "quorum {}",
            random.pick(&["both", "both", "A", "none", "B", "C", "log"])
        ),
    ];
    let more = [
        "# a comment".to_owned(),
        String::new(),
        " \t".to_owned(),
        format!("log {first}"),
        format!("witness C {log}"),
        format!("witness C {first}"),
        "witness both x".to_owned(),
        "group other any A".to_owned(),
        "group none any A".to_owned(),
        "group empty any".to_owned(),
        "quorum none".to_owned(),
        "group top all both".to_owned(),
        "quorum".to_owned(),
        "log a b c d".to_owned(),
        "\u{7f}".to_owned(),
        "\r".to_owned(),
        "# \u{e9}".to_owned(),
        format!("group twice 1 {0} {0}", random.pick(&["both", "A"])),
    ];
    for _ in 0..random.below(3) {
        let line = more[random.below(more.len())].clone();
        let at = random.below(lines.len() + 1);
        lines.insert(at, line);
    }
    if random.once_in(6) {
        lines.remove(random.below(lines.len()));
    }
    let mut text = lines.join("\n");
    if random.once_in(2) {
        text.push('\n');
    }
    text.into_bytes()
}
