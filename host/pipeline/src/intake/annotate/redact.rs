//! Takes out of a change what its annotation says.
//!
//! # Invariants
//!
//! - An attribute of the key is hashed wherever it stands, in the key and both images, or not at all: in one of them it would
//!   tell what it is in the others.

use std::collections::BTreeSet;

use weir_evidence::LedgerSecret;
use weir_model::{AttributeValue, Change, Item, Path};
use weir_runtime::{Fault, FaultCode, Part, Redaction, RedactionMethod};

/// What stands in the place of a value that is masked.
const MASK: &str = "***";

/// Redacts a change. Says whether there was anything to redact.
///
/// # Errors
///
/// An attribute of the key would be redacted otherwise than by a hash.
pub fn redact(secret: &LedgerSecret, change: &mut Change, redactions: &[Redaction]) -> Result<bool, Fault> {
    let (mut hashed_keys, mut done) = (BTreeSet::new(), Vec::new());
    let mut is_redacted = false;
    for redaction in redactions {
        // Hashed twice, a value would be another's hash.
        if done.contains(&redaction) {
            continue;
        }
        done.push(redaction);
        let Some(name) = redaction.path.attribute() else {
            is_redacted |= redact_part(secret, change, redaction, &mut hashed_keys)?;
            continue;
        };
        if change.keys.contains_key(name) {
            check_key(redaction)?;
            hashed_keys.insert(name.to_owned());
        } else if let Some(image) = image_mut(change, redaction.part) {
            is_redacted |= redaction.path.replace(image, &by(secret, redaction.method));
        }
    }
    is_redacted |= !hashed_keys.is_empty();
    let images = [Some(&mut change.keys), change.old.as_mut(), change.new.as_mut()];
    for image in images.into_iter().flatten() {
        for (_, value) in image.iter_mut().filter(|(name, _)| hashed_keys.contains(*name)) {
            *value = AttributeValue::S(secret.hash_value(value));
        }
    }
    Ok(is_redacted)
}

/// Redacts each attribute of a part; of an image, those that are not of the key.
fn redact_part(
    secret: &LedgerSecret,
    change: &mut Change,
    redaction: &Redaction,
    hashed_keys: &mut BTreeSet<String>,
) -> Result<bool, Fault> {
    if redaction.part == Part::Keys {
        check_key(redaction)?;
        hashed_keys.extend(change.keys.keys().cloned());
        return Ok(false);
    }
    let names: BTreeSet<String> = change.keys.keys().cloned().collect();
    let Some(image) = image_mut(change, redaction.part) else {
        return Ok(false);
    };
    let (keys, rest): (Vec<_>, Vec<_>) = std::mem::take(image)
        .into_iter()
        .partition(|(name, _)| names.contains(name));
    let mut rest = Item::from_iter(rest);
    let is_redacted = Path::ALL.replace(&mut rest, &by(secret, redaction.method));
    *image = rest.into_iter().chain(keys).collect();
    Ok(is_redacted)
}

fn check_key(redaction: &Redaction) -> Result<(), Fault> {
    if redaction.method == RedactionMethod::Hash {
        return Ok(());
    }
    Err(Fault {
        code: FaultCode::Invalid,
        message: format!("`{redaction}`: an attribute of the key can only be hashed"),
        log: String::new(),
    })
}

fn image_mut(change: &mut Change, part: Part) -> Option<&mut Item> {
    match part {
        // What is no attribute of the key is not in it.
        Part::Keys => None,
        Part::Old => change.old.as_mut(),
        Part::New => change.new.as_mut(),
    }
}

fn by(secret: &LedgerSecret, method: RedactionMethod) -> impl Fn(&AttributeValue) -> Option<AttributeValue> {
    move |value| match method {
        RedactionMethod::Omit => None,
        RedactionMethod::Mask => Some(AttributeValue::text(MASK)),
        RedactionMethod::Hash => Some(AttributeValue::S(secret.hash_value(value))),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use weir_model::{EventId, Operation, SequenceNumber};

    use super::*;

    /// What is left of an order whose key is `id`, after redactions that are written as `hash new /a`.
    #[track_caller]
    fn check(redactions: &[&str], expect: Expect) {
        let item = |text: &str| serde_json::from_str::<Item>(text).unwrap();
        let mut change = Change {
            sequence: SequenceNumber::parse("1").unwrap(),
            event_id: EventId::parse("e").unwrap(),
            table: "orders".to_owned(),
            operation: Operation::Modify,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            keys: item(r#"{"id":{"S":"1"}}"#),
            old: Some(item(r#"{"id":{"S":"1"},"name":{"S":"Ada"}}"#)),
            new: Some(item(
                r#"{"id":{"S":"1"},"name":{"S":"Ada"},"deep":{"M":{"iban":{"S":"DE02"},"n":{"N":"1"}}}}"#,
            )),
            service: None,
        };
        let redactions: Vec<Redaction> = redactions.iter().map(|text| parse(text)).collect();
        let secret = LedgerSecret::new(&[1; 32]);
        let shown = match redact(&secret, &mut change, &redactions) {
            Err(fault) => fault.message,
            Ok(is_redacted) => {
                let images = [Some(&change.keys), change.old.as_ref(), change.new.as_ref()];
                let lines = images.map(|image| weir_model::plain_json(image.unwrap()).to_string());
                format!("{is_redacted}\n{}", lines.join("\n"))
            }
        };
        // Of hashes, the first digits.
        let mut short = String::new();
        for (index, part) in shown.split(&format!("hash:{}:", secret.id())).enumerate() {
            short.push_str(&if index == 0 {
                part.to_owned()
            } else {
                format!("#{}{}", &part[..4], &part[32..])
            });
        }
        expect.assert_eq(&short);
    }

    fn parse(text: &str) -> Redaction {
        let mut words = text.split(' ');
        Redaction {
            method: match words.next().unwrap() {
                "omit" => RedactionMethod::Omit,
                "mask" => RedactionMethod::Mask,
                _ => RedactionMethod::Hash,
            },
            part: match words.next().unwrap() {
                "keys" => Part::Keys,
                "old" => Part::Old,
                _ => Part::New,
            },
            path: Path::parse(words.next().unwrap_or_default()).unwrap(),
        }
    }

    #[test]
    fn a_field_is_omitted_masked_or_hashed_and_equal_values_stay_equal() {
        check(
            &[
                "hash old /name",
                "hash new /name",
                "hash new /name",
                "mask new /deep/iban",
            ],
            expect![[r##"
                true
                {"id":"1"}
                {"id":"1","name":"#a543"}
                {"deep":{"iban":"***","n":1},"id":"1","name":"#a543"}"##]],
        );
        check(
            &["omit new /deep", "omit old /nothing", "omit keys /name"],
            expect![[r#"
                true
                {"id":"1"}
                {"id":"1","name":"Ada"}
                {"id":"1","name":"Ada"}"#]],
        );
    }

    #[test]
    fn an_attribute_of_the_key_is_hashed_wherever_it_stands() {
        for redaction in ["hash new /id", "hash keys /id", "hash keys"] {
            check(
                &[redaction, "hash old /id"],
                expect![[r##"
                    true
                    {"id":"#ec39"}
                    {"id":"#ec39","name":"Ada"}
                    {"deep":{"iban":"DE02","n":1},"id":"#ec39","name":"Ada"}"##]],
            );
        }
        check(
            &["mask old /id"],
            expect!["`mask old /id`: an attribute of the key can only be hashed"],
        );
        check(
            &["omit keys"],
            expect!["`omit keys`: an attribute of the key can only be hashed"],
        );
    }

    #[test]
    fn a_whole_image_is_all_of_it_but_the_key() {
        check(
            &["omit new", "mask old"],
            expect![[r#"
                true
                {"id":"1"}
                {"id":"1","name":"***"}
                {"id":"1"}"#]],
        );
        check(
            &[],
            expect![[r#"
                false
                {"id":"1"}
                {"id":"1","name":"Ada"}
                {"deep":{"iban":"DE02","n":1},"id":"1","name":"Ada"}"#]],
        );
    }
}
