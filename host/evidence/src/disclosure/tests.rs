use super::*;
use crate::SegmentKey;

const SALT: [u8; 32] = [9; 32];

fn body() -> (Body, BodyKey) {
    let body =
        r#"{"actor":"maria","keys":{"id":{"S":"1"}},"new":{"a/b":{"N":"1"},"id":{"S":"1"}},"old":{"id":{"S":"1"}}}"#;
    let key = SegmentKey::new([3; 32]).body_key(0).unwrap();
    (serde_json::from_str(body).unwrap(), key)
}

fn written(disclosure: &Disclosure) -> String {
    let mut out = Vec::new();
    disclosure.write(&mut out);
    String::from_utf8(out).unwrap()
}

/// A disclosure of these attributes alone, against the commitment that it makes itself.
fn check(attributes: &[(&str, &str)]) -> Result<(), DisclosureError> {
    let mut disclosure = Disclosure::with_attributes();
    for (path, value) in attributes {
        disclosure.show(path, SALT, value);
    }
    let commitment = disclosure.commitment().unwrap();
    disclosure.verify(&commitment)
}

#[test]
fn any_choice_of_attributes_proves_and_reads_back_as_it_was_written() {
    let (body, key) = body();
    let commitment = Commitment::of(&body, &key);
    let paths = ["/actor", "/keys/id", "/new/a~1b", "/new/id", "/old/id"];
    for choice in 0..1 << paths.len() {
        let is_chosen = |path: &str| choice >> paths.iter().position(|other| *other == path).unwrap() & 1 == 1;
        let disclosure = Disclosure::of(&body, &key, is_chosen);
        assert_eq!(disclosure.verify(&commitment), Ok(()));
        let shown: Vec<_> = disclosure.shown().map(|(path, _)| path).collect();
        assert_eq!(
            shown,
            paths.into_iter().filter(|path| is_chosen(path)).collect::<Vec<_>>()
        );
        let text = written(&disclosure);
        assert_eq!(Disclosure::parse(&text).as_ref(), Ok(&disclosure));
    }
}

#[test]
fn nothing_is_shown_of_any_body_and_only_nothing_of_none() {
    let (body, key) = body();
    let commitment = Commitment::of(&body, &key);
    assert_eq!(written(&Disclosure::nothing()), "{}");
    assert_eq!(Disclosure::parse("{}"), Ok(Disclosure::nothing()));
    assert_eq!(Disclosure::nothing().verify_for(Some(&commitment)), Ok(()));
    assert_eq!(Disclosure::nothing().verify_for(None), Ok(()));
    let empty = Disclosure::parse("{\"attributes\":[]}").unwrap();
    assert_eq!(empty.verify_for(None), Err(DisclosureError::NoBody));
    assert_eq!(empty.verify(&commitment), Err(DisclosureError::Commitment));
    assert_eq!(empty.verify(&commitment_over(&[])), Ok(()), "a body may be empty");
}

#[test]
fn whatever_is_changed_left_out_or_moved_makes_another_commitment() {
    let (body, key) = body();
    let commitment = Commitment::of(&body, &key);
    let text = written(&Disclosure::of(&body, &key, |path| path != "/actor"));
    let verify = |text: &str| Disclosure::parse(text).map(|disclosure| disclosure.verify(&commitment));
    assert_eq!(verify(&text), Ok(Ok(())));
    let salt_begins = text.find("\"salt\":\"").unwrap() + 8;
    let mut other_salt = text.clone();
    let digit = if other_salt[salt_begins..].starts_with('0') {
        "1"
    } else {
        "0"
    };
    other_salt.replace_range(salt_begins..=salt_begins, digit);
    for changed in [
        text.replacen("\"N\\\":\\\"1", "\"N\\\":\\\"2", 1),
        text.replacen("/new/a~1b", "/new/a~1c", 1),
        other_salt,
    ] {
        assert_ne!(changed, text);
        assert_eq!(verify(&changed), Ok(Err(DisclosureError::Commitment)), "{changed}");
    }
    let first_end = text.find("},").unwrap();
    let without_first = format!("{{\"attributes\":[{}", &text[first_end + 2..]);
    assert_eq!(verify(&without_first), Ok(Err(DisclosureError::Commitment)));
}

#[test]
fn only_the_canonical_form_is_read() {
    let hash = "0a".repeat(32);
    let shown = format!("{{\"path\":\"/actor\",\"salt\":\"{hash}\",\"value\":\"\\\"x\\\"\"}}");
    let hidden = format!("{{\"digest\":\"{hash}\"}}");
    let parse = |attributes: &str| Disclosure::parse(&format!("{{\"attributes\":[{attributes}]}}"));
    assert!(parse(&shown).is_ok() && parse(&format!("{hidden},{shown}")).is_ok());
    let upper = hash.to_uppercase();
    for wrong in [
        shown.replace(&hash, &upper),
        shown.replace("\"salt\"", "\"sale\""),
        shown.replace("\"path\":", "\"path\": "),
        shown.replace("/actor", "\\/actor"),
        hidden.replace('}', ",\"more\":1}"),
        hidden.replace(&hash, ""),
        format!("{hidden},"),
        format!(",{hidden}"),
        format!("{hidden}{hidden}"),
        "[]".to_owned(),
    ] {
        assert_eq!(parse(&wrong), Err(DisclosureError::Malformed), "{wrong}");
    }
    for wrong in [
        "",
        "{",
        "[]",
        "{} ",
        "{}{}",
        "{\"attributes\":{}}",
        "{\"attributes\":[],\"more\":1}",
    ] {
        assert_eq!(Disclosure::parse(wrong), Err(DisclosureError::Malformed), "{wrong}");
    }
}

#[test]
fn paths_are_those_of_a_body() {
    for path in ["/keys/id", "/old/a~0~1b", "/new/", "/new/é"] {
        assert_eq!(check(&[(path, r#"{"S":""}"#)]), Ok(()), "{path}");
    }
    for path in ["/actor", "/raw", "/reason"] {
        assert_eq!(check(&[(path, "\"\"")]), Ok(()), "{path}");
    }
    for path in [
        "", "/", "/new", "new/a", "/news/a", "/new/a/b", "/new/a~", "/new/a~2", "/actor/a", "/Actor", "/new~1a",
    ] {
        assert_eq!(
            check(&[(path, r#"{"S":""}"#)]),
            Err(DisclosureError::Path { number: 1 }),
            "{path}"
        );
    }
}

#[test]
fn paths_come_in_order_of_bytes_and_once() {
    let value = r#"{"S":""}"#;
    assert_eq!(
        check(&[("/new/Z", value), ("/new/a", value), ("/new/é", value)]),
        Ok(())
    );
    let out_of_order = Err(DisclosureError::PathOrder { number: 2 });
    assert_eq!(check(&[("/old/a", value), ("/new/a", value)]), out_of_order);
    assert_eq!(check(&[("/new/a", value), ("/new/a", value)]), out_of_order);
}

#[test]
fn values_are_canonical_and_of_the_kind_of_their_path() {
    for value in [
        r#"{"S":"é\n"}"#,
        r#"{"M":{"a":{"N":"1.50"},"b":{"L":[{"NULL":true}]}}}"#,
        r#"{"":0}"#,
    ] {
        assert_eq!(check(&[("/new/a", value)]), Ok(()), "{value}");
    }
    for value in [
        "{}",
        r#"{"N":"1","S":"1"}"#,
        r#"{"S":"1"}x"#,
        r#"{"S": "1"}"#,
        "\"text\"",
        "[]",
        "1",
        "",
        r#"{1:2}"#,
        r#"{"S":"\/"}"#,
    ] {
        assert_eq!(
            check(&[("/new/a", value)]),
            Err(DisclosureError::Value { number: 1 }),
            "{value}"
        );
    }
    for value in ["{}", r#"{"S":"1"}"#, "1", "maria", "\"a\" ", "null", ""] {
        assert_eq!(
            check(&[("/actor", value)]),
            Err(DisclosureError::Value { number: 1 }),
            "{value}"
        );
    }
}
