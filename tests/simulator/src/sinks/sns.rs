//! SNS: `PublishBatch`, as a form in and XML out.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::service::ApiError;
use crate::sinks::form::Form;
use crate::sinks::sqs::{check_batch, size};
use crate::sinks::{Entry, Sinks, text};

const OPERATION: &str = "PublishBatch";

/// Fields of an entry that are text.
const FIELDS: [&str; 6] = [
    "Id",
    "Message",
    "Subject",
    "MessageStructure",
    "MessageGroupId",
    "MessageDeduplicationId",
];

impl Sinks {
    /// Takes messages. Some may fail while others are taken: the call is then still a success.
    pub(crate) fn publish_batch(&mut self, form: &Form, now: Timestamp) -> Result<String, ApiError> {
        let topic = form.get("TopicArn").unwrap_or_default().to_owned();
        let entries = read_entries(form);
        check_batch(&entries, "")?;
        let size_bytes: usize = entries.iter().map(|entry| size(entry, "Message")).sum();
        if size_bytes > self.settings.sns_bytes_max {
            return Err(self.too_large("BatchRequestTooLong"));
        }
        let failures = self.failures_of(OPERATION, entries.len());
        let (mut successful, mut failed) = (String::new(), String::new());
        for (index, entry) in entries.iter().enumerate() {
            let id = escape(text(entry, "Id").unwrap_or_default());
            if let Some(failure) = failures.get(&index) {
                failed.push_str(&format!(
                    "<member><Id>{id}</Id><Code>{}</Code><Message>the entry failed</Message>\
                     <SenderFault>{}</SenderFault></member>",
                    escape(&failure.code),
                    failure.sender_fault,
                ));
                continue;
            }
            let message = Entry {
                target: &topic,
                deduplication: text(entry, "MessageDeduplicationId"),
                is_discarded: false,
                entry,
            };
            let message_id = self.accept(OPERATION, &message, now);
            successful.push_str(&format!("<member><Id>{id}</Id><MessageId>{message_id}</MessageId>"));
            if topic.ends_with(".fifo") {
                successful.push_str(&format!("<SequenceNumber>{}</SequenceNumber>", self.sequence_number()));
            }
            successful.push_str("</member>");
        }
        Ok(format!(
            "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
             <Successful>{successful}</Successful><Failed>{failed}</Failed></PublishBatchResult>\
             <ResponseMetadata><RequestId>simulated</RequestId></ResponseMetadata></PublishBatchResponse>"
        ))
    }
}

/// An error as SNS writes it.
pub(crate) fn error_xml(error: &ApiError) -> String {
    let who = if error.status < 500 { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{who}</Type><Code>{}</Code>\
         <Message>{}</Message></Error><RequestId>simulated</RequestId></ErrorResponse>",
        escape(&error.code),
        escape(&error.message),
    )
}

/// The entries of a form, whose members are counted from 1.
fn read_entries(form: &Form) -> Vec<Value> {
    (1..)
        .map(|number| format!("PublishBatchRequestEntries.member.{number}."))
        .take_while(|prefix| form.has_prefix(prefix))
        .map(|prefix| {
            let mut entry = json!({});
            for field in FIELDS {
                if let Some(value) = form.get(&format!("{prefix}{field}")) {
                    entry[field] = value.into();
                }
            }
            let attributes = read_attributes(form, &format!("{prefix}MessageAttributes.entry."));
            if attributes.as_object().is_some_and(|attributes| !attributes.is_empty()) {
                entry["MessageAttributes"] = attributes;
            }
            entry
        })
        .collect()
}

fn read_attributes(form: &Form, prefix: &str) -> Value {
    let mut attributes = json!({});
    for number in 1.. {
        let Some(name) = form.get(&format!("{prefix}{number}.Name")) else {
            break;
        };
        let mut attribute = json!({});
        for field in ["DataType", "StringValue", "BinaryValue"] {
            if let Some(value) = form.get(&format!("{prefix}{number}.Value.{field}")) {
                attribute[field] = value.into();
            }
        }
        attributes[name] = attribute;
    }
    attributes
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
