use super::*;
use crate::canonical;
use proptest::prelude::*;

fn is_canonical(text: &str) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.nested(DEPTH_MAX).is_some() && cursor.end().is_some()
}

proptest! {
    #[test]
    fn it_takes_what_building_and_writing_again_takes(text in "[\\[\\]{}:,\"\\\\ab0-2u .tfnrulseé\u{e000}\u{10000}-]{0,14}") {
        for text in [text.clone(), format!("{{\"a\":{text}}}"), format!("{{\"{text}\":1,\"b\":2}}"), format!("[\"{text}\"]")] {
            prop_assert_eq!(is_canonical(&text), canonical::parse(&text).is_some(), "{}", text);
        }
    }

    #[test]
    fn a_text_reads_back_as_it_was_written(text in "\\PC*|[\\x00-\\x7f]*") {
        let mut written = Vec::new();
        canonical::string(&text, &mut written);
        let written = String::from_utf8(written).unwrap();
        let mut texts = "before".to_owned();
        let mut cursor = Cursor::new(&written);
        let range = cursor.string(&mut texts).unwrap();
        prop_assert_eq!(&texts[range], text);
        prop_assert!(cursor.end().is_some());
    }
}

#[test]
fn only_one_form_of_a_value_has_a_way_through() {
    for text in [
        "0",
        "9007199254740991",
        "\"\"",
        r#""\u001f\n\"é""#,
        "[]",
        "{}",
        "[1,[true,false],null]",
        r#"{"a":1,"b":{"":{}}}"#,
        "{\"\u{10000}\":1,\"\u{e000}\":2}",
        r#"{"\n":1,"a":2}"#,
    ] {
        assert!(is_canonical(text), "{text}");
    }
    for text in [
        "",
        " 1",
        "1 ",
        "01",
        "-1",
        "1.0",
        "1e1",
        "9007199254740992",
        "[1,]",
        "[,1]",
        "[1",
        "{",
        "{\"a\"}",
        "{\"a\":1,}",
        r#"{"b":1,"a":2}"#,
        r#"{"a":1,"a":2}"#,
        "{\"\u{e000}\":1,\"\u{10000}\":2}",
        r#"{"a":1,"\n":2}"#,
        r#""\/""#,
        r#""\u0041""#,
        r#""\u001F""#,
        r#""\u000a""#,
        r#""\ud800""#,
        "\"\n\"",
        "\"",
        "tru",
        "True",
        "NaN",
        "nulll",
    ] {
        assert!(!is_canonical(text), "{text}");
    }
}

#[test]
fn nesting_ends_at_100_levels() {
    let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(is_canonical(&nested(100)));
    assert!(!is_canonical(&nested(101)));
    assert!(!is_canonical(&nested(1_000_000)));
}

#[test]
fn a_hash_is_64_lower_case_digits() {
    let hash = |digits: &str| Cursor::new(&format!("\"{digits}\"")).hash();
    assert_eq!(hash(&"0f".repeat(32)), Some([0x0f; 32]));
    for wrong in ["0F".repeat(32), "0f".repeat(31), "0f".repeat(33), "0g".repeat(32)] {
        assert_eq!(hash(&wrong), None, "{wrong}");
    }
}
