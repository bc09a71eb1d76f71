//! Signed heads with other lines.

use super::*;

/// A checkpoint of the right tree with lines that may be wrong.
pub(super) fn checkpoints(random: &mut Random) -> Vec<u8> {
    let lie = Draft::of_history();
    let mut archive = lie.seal();
    archive.contents[CHECKPOINT] = checkpoint_of(&lie.leaves(), random);
    archive.rehash();
    archive.to_bytes()
}

pub(super) fn checkpoint_of(leaves: &[weir_evidence::Hash], random: &mut Random) -> Vec<u8> {
    let (size, root) = (leaves.len().to_string(), BASE64.encode(root(leaves)));
    let sizes = [
        &*size,
        "016",
        "0",
        "15",
        "18446744073709551615",
        "18446744073709551616",
        "+16",
        " 16",
        "",
        "1٦",
    ];
    let origins = [
        "log.example/main",
        "log.example/other",
        "é",
        " ",
        "log.example/main ",
        "",
        "\u{7f}",
    ];
    let roots = [
        &*root,
        &root.replace('=', ""),
        &format!("{root}="),
        "AAAA",
        "",
        &root.replace("A", "_"),
    ];
    let more = [
        "",
        "more\n",
        "more\nand more\n",
        "\n",
        " \n",
        "\u{2014} nobody AAAAAAAA\n",
        "\n\nx\n",
    ];
    let one = |from: &[&str], random: &mut Random| {
        if random.once_in(6) {
            random.pick(from).to_owned()
        } else {
            from[0].to_owned()
        }
    };
    let (origin, size, root) = (one(&origins, random), one(&sizes, random), one(&roots, random));
    let text = format!("{origin}\n{size}\n{root}\n{}", one(&more, random));
    let other = SigningKey::new("log.example/main".to_owned(), &[2; 32]).unwrap();
    let keys: &[SigningKey] = if random.once_in(12) { &[other] } else { &[key()] };
    let mut note = Note::sign(text, keys).map_or_else(|_| String::new(), |note| note.to_string());
    for _ in 0..random.below(3) {
        note.push_str(&signature_line(&note, random));
    }
    if random.once_in(8) {
        another_text(&mut note, random);
    }
    note.into_bytes()
}

/// A line that may stand below a checkpoint.
pub(super) fn signature_line(note: &str, random: &mut Random) -> String {
    let vkey = key().verifier_key();
    let id = vkey.id().to_be_bytes();
    let line = |name: &str, bytes: &[u8]| format!("\u{2014} {name} {}\n", BASE64.encode(bytes));
    let name = "log.example/main";
    match random.below(14) {
        0 => line("nobody", &[0; 5]),
        1 => line("nobody", &[0; 4]),
        2 => line(name, &[9; 68]),
        3 => line(name, &[&id[..], &[0; 64]].concat()),
        4 => line(name, &[&id[..], &[0; 63]].concat()),
        5 => line("log.example/mine", &[&id[..], &[0; 64]].concat()),
        6 => line("no body", &[0; 8]),
        7 => line("no+body", &[0; 8]),
        8 => line("", &[0; 8]),
        9 => "\u{2014} nobody AAAAAAB=\n".to_owned(),
        10 => "\u{2014} nobody AAAAAAA\n".to_owned(),
        11 => line("no\u{3000}body", &[0; 8]),
        12 => note.lines().last().map(|last| format!("{last}\n")).unwrap_or_default(),
        _ => line("no\u{200b}body", &[0; 8]),
    }
}
