//! The record of a change, for patterns that were written for it.
//!
//! ```json
//! {"eventID": "...", "eventName": "MODIFY", "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1",
//!  "eventSourceARN": "arn:aws:dynamodb:...", "dynamodb": {"ApproximateCreationDateTime": 1772366400, "Keys": {"id": {"S": "o1"}},
//!  "OldImage": {}, "NewImage": {}, "SequenceNumber": "4909400000000012345678901"}}
//! ```
//!
//! This is the shape that AWS Lambda and EventBridge Pipes hand on. A change that a service made has a `userIdentity`. What a
//! ledger does not keep is not there: `SizeBytes` and `StreamViewType`.

use serde_json::{Value, json};

use crate::{Change, Operation, StreamArn};

impl Change {
    /// The record of this change of a stream.
    #[must_use]
    pub fn to_stream_record(&self, stream: &StreamArn) -> Value {
        let mut dynamodb = json!({
            "ApproximateCreationDateTime": self.created_at.as_second(),
            "Keys": self.keys,
            "SequenceNumber": self.sequence,
        });
        for (name, image) in [("OldImage", &self.old), ("NewImage", &self.new)] {
            if let Some(image) = image {
                dynamodb[name] = json!(image);
            }
        }
        let mut record = json!({
            "eventID": self.event_id,
            "eventName": match self.operation {
                Operation::Insert => "INSERT",
                Operation::Modify => "MODIFY",
                Operation::Remove => "REMOVE",
            },
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "eventSourceARN": stream.as_str(),
            "dynamodb": dynamodb,
        });
        // arn:partition:service:region:account:resource
        if let Some(region) = stream.as_str().split(':').nth(3) {
            record["awsRegion"] = json!(region);
        }
        if let Some(service) = &self.service {
            record["userIdentity"] = json!({"type": service.kind, "principalId": service.principal});
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::ServiceIdentity;
    use crate::example::{item, order_change};

    #[test]
    fn a_record_is_as_lambda_is_handed_it() {
        let mut change = Change {
            old: Some(item(r#"{"id":{"S":"o1"},"n":{"N":"1.50"}}"#)),
            new: Some(item(r#"{"id":{"S":"o1"},"n":{"N":"2"}}"#)),
            ..order_change()
        };
        let stream = StreamArn::parse("arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/1").unwrap();
        expect![[r#"{"awsRegion":"eu-west-1","dynamodb":{"ApproximateCreationDateTime":1772366400,"Keys":{"id":{"S":"o1"}},"NewImage":{"id":{"S":"o1"},"n":{"N":"2"}},"OldImage":{"id":{"S":"o1"},"n":{"N":"1.50"}},"SequenceNumber":"100"},"eventID":"e1","eventName":"MODIFY","eventSource":"aws:dynamodb","eventSourceARN":"arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/1","eventVersion":"1.1"}"#]]
        .assert_eq(&change.to_stream_record(&stream).to_string());

        change.service = Some(ServiceIdentity {
            kind: "Service".to_owned(),
            principal: "dynamodb.amazonaws.com".to_owned(),
        });
        (change.operation, change.new) = (Operation::Remove, None);
        let record = change.to_stream_record(&stream);
        assert_eq!(
            record["userIdentity"],
            json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"})
        );
        assert_eq!(
            (&record["eventName"], record["dynamodb"].get("NewImage")),
            (&json!("REMOVE"), None)
        );
    }
}
