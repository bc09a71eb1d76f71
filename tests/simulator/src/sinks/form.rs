//! A form, as the query protocol sends it: `Action=PublishBatch&TopicArn=arn%3Aaws%3A...`.

use std::collections::BTreeMap;

/// The fields of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let fields = body.split('&').filter(|field| !field.is_empty()).map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (decode(name), decode(value))
        });
        Self(fields.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        let mut from = self.0.range(prefix.to_owned()..);
        from.next().is_some_and(|(name, _)| name.starts_with(prefix))
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let escaped = (bytes[place] == b'%')
            .then(|| text.get(place + 1..place + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escaped, bytes[place]) {
            (Some(byte), _) => {
                decoded.push(byte);
                place += 2;
            }
            (None, b'+') => decoded.push(b' '),
            (None, byte) => decoded.push(byte),
        }
        place += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let form = Form::parse(b"Action=PublishBatch&a.member.1.Message=100%25+%C3%A4%3D&empty=&bad=%zz");
        assert_eq!(form.get("Action"), Some("PublishBatch"));
        assert_eq!(form.get("a.member.1.Message"), Some("100% ä="));
        assert_eq!(form.get("empty"), Some(""));
        assert_eq!(form.get("bad"), Some("%zz"));
        assert!(form.has_prefix("a.member.1.") && !form.has_prefix("a.member.2."));
    }
}
