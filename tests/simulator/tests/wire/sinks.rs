//! What a consumer sends on is taken, refused, taken in part, or taken without a word.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_eventbridge::error::ProvideErrorMetadata;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Region};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use weir_simulator::{EntryFailure, Fate, Fault, FaultRule, Simulator};

use crate::support::http::{Answer, post};
use crate::support::start;

const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/000000000000/orders.fifo";

fn eventbridge(simulator: &Simulator) -> aws_sdk_eventbridge::Client {
    let config = aws_sdk_eventbridge::Config::builder()
        .behavior_version(aws_sdk_eventbridge::config::BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(simulator.endpoint())
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .operation_timeout(Duration::from_millis(500))
                .build(),
        );
    aws_sdk_eventbridge::Client::from_conf(config.build())
}

fn sqs(simulator: &Simulator) -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(simulator.endpoint())
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled());
    aws_sdk_sqs::Client::from_conf(config.build())
}

fn event(detail: &str) -> PutEventsRequestEntry {
    PutEventsRequestEntry::builder()
        .event_bus_name("bus")
        .source("shop")
        .detail_type("change")
        .detail(detail)
        .build()
}

fn events(count: usize) -> Vec<PutEventsRequestEntry> {
    (0..count).map(|number| event(&format!("{{\"n\":{number}}}"))).collect()
}

fn message(id: &str, group: &str, deduplication: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(format!("body of {id}"))
        .message_group_id(group)
        .message_deduplication_id(deduplication)
        .build()
        .unwrap()
}

fn failure(index: usize, code: &str) -> EntryFailure {
    EntryFailure {
        index,
        code: code.to_owned(),
        sender_fault: false,
    }
}

fn details(simulator: &Simulator) -> Vec<String> {
    let received = simulator.received().into_iter();
    received
        .map(|received| received.entry["Detail"].as_str().unwrap().to_owned())
        .collect()
}

/// Line 35.
#[tokio::test]
async fn events_fail_by_their_place_while_the_call_succeeds() {
    let (simulator, _) = start().await;
    let failures = vec![
        failure(1, "ThrottlingException"),
        failure(3, "InternalFailure"),
        failure(4, "Odd"),
    ];
    simulator.fail_entries("PutEvents", failures);
    let client = eventbridge(&simulator);
    let output = client.put_events().set_entries(Some(events(6))).send().await.unwrap();
    assert_eq!(output.failed_entry_count(), 3);
    let codes: Vec<Option<&str>> = output.entries().iter().map(|entry| entry.error_code()).collect();
    assert_eq!(
        codes,
        [
            None,
            Some("ThrottlingException"),
            None,
            Some("InternalFailure"),
            Some("Odd"),
            None
        ]
    );
    assert!(output.entries()[0].event_id().is_some());
    assert_eq!(details(&simulator), [r#"{"n":0}"#, r#"{"n":2}"#, r#"{"n":5}"#]);
    let again = client.put_events().set_entries(Some(events(1))).send().await.unwrap();
    assert_eq!(again.failed_entry_count(), 0);
}

/// Line 35.
#[tokio::test]
async fn a_call_has_at_most_ten_events_and_256_kilobytes_together() {
    let (simulator, _) = start().await;
    let client = eventbridge(&simulator);
    let call = client.put_events().set_entries(Some(events(11)));
    assert_eq!(call.send().await.unwrap_err().code(), Some("ValidationException"));
    // What counts beside the detail: the source has 4 bytes, the detail type 6.
    let detail = |bytes: usize| format!("{{\"n\":\"{}\"}}", "x".repeat(bytes - 8));
    let fits = vec![event(&detail(131_062)), event(&detail(131_062))];
    client.put_events().set_entries(Some(fits)).send().await.unwrap();
    let too_large = vec![event(&detail(131_062)), event(&detail(131_063))];
    let call = client.put_events().set_entries(Some(too_large));
    let error = call.clone().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ValidationException"));
    simulator.sinks(|settings| settings.bare_413 = true);
    let error = call.clone().send().await.unwrap_err();
    assert_eq!(error.code(), None);
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 413);
    simulator.sinks(|settings| settings.eventbridge_bytes_max = 1 << 20);
    assert!(call.send().await.is_ok());
    assert_eq!(simulator.received().len(), 4);
}

/// Line 35.
#[tokio::test]
async fn an_event_whose_type_is_too_long_succeeds_and_is_thrown_away() {
    let (simulator, _) = start().await;
    let client = eventbridge(&simulator);
    let typed = |length: usize| {
        let entry = PutEventsRequestEntry::builder().source("shop").detail("{}");
        entry.detail_type("t".repeat(length)).build()
    };
    let output = client
        .put_events()
        .entries(typed(128))
        .entries(typed(129))
        .send()
        .await
        .unwrap();
    assert_eq!(output.failed_entry_count(), 0);
    let fates: Vec<Fate> = simulator.received().iter().map(|received| received.fate).collect();
    assert_eq!(fates, [Fate::Kept, Fate::Discarded]);
}

#[tokio::test]
async fn an_event_whose_detail_is_not_an_object_fails_for_good() {
    let (simulator, _) = start().await;
    let client = eventbridge(&simulator);
    let output = client
        .put_events()
        .entries(event("[1]"))
        .entries(event("{"))
        .send()
        .await
        .unwrap();
    let codes: Vec<Option<&str>> = output.entries().iter().map(|entry| entry.error_code()).collect();
    assert_eq!(codes, [Some("MalformedDetail"), Some("MalformedDetail")]);
    assert!(simulator.received().is_empty());
}

/// Line 38.
#[tokio::test]
async fn a_call_may_be_accepted_and_never_answered() {
    let (simulator, _) = start().await;
    let client = eventbridge(&simulator);
    simulator.queue_fault(FaultRule::next("PutEvents", Fault::Hang).after_effect());
    simulator.queue_fault(FaultRule::next("PutEvents", Fault::Reset).skip(1));
    let call = client.put_events().set_entries(Some(events(1)));
    assert!(call.clone().send().await.is_err());
    assert_eq!(simulator.received().len(), 1);
    assert!(call.clone().send().await.is_err());
    assert_eq!(simulator.received().len(), 1, "that one was lost on the way");
    call.send().await.unwrap();
    assert_eq!(simulator.received().len(), 2, "a repeat of the first");
}

/// Line 36.
#[tokio::test]
async fn messages_of_a_batch_fail_one_by_one_and_say_whose_fault_it_is() {
    let (simulator, _) = start().await;
    let by_sender = EntryFailure {
        sender_fault: true,
        ..failure(0, "InvalidMessageContents")
    };
    simulator.fail_entries("SendMessageBatch", vec![by_sender, failure(2, "InternalError")]);
    let entries = ["a", "b", "c"].map(|id| message(id, "g", id)).to_vec();
    let call = sqs(&simulator)
        .send_message_batch()
        .queue_url(QUEUE)
        .set_entries(Some(entries));
    let output = call.send().await.unwrap();
    let failed: Vec<(&str, &str, bool)> = output
        .failed()
        .iter()
        .map(|failed| (failed.id(), failed.code(), failed.sender_fault()))
        .collect();
    assert_eq!(
        failed,
        [("a", "InvalidMessageContents", true), ("c", "InternalError", false)]
    );
    let successful = &output.successful()[0];
    assert_eq!(successful.id(), "b");
    // The digest of "body of b".
    assert_eq!(successful.md5_of_message_body().len(), 32);
    assert_eq!(simulator.received()[0].target, QUEUE);
}

/// Line 36: the queue does not hold later messages of the group back; that is for the sender to do.
#[tokio::test]
async fn a_failed_message_does_not_keep_the_next_of_its_group_from_being_taken() {
    let (simulator, _) = start().await;
    simulator.fail_entries("SendMessageBatch", vec![failure(0, "InternalError")]);
    let entries = ["first", "second"].map(|id| message(id, "g", id)).to_vec();
    let client = sqs(&simulator);
    let call = client.send_message_batch().queue_url(QUEUE).set_entries(Some(entries));
    call.clone().send().await.unwrap();
    call.send().await.unwrap();
    let received = simulator.received();
    let ids: Vec<(&str, Fate)> = received
        .iter()
        .map(|received| (received.entry["Id"].as_str().unwrap(), received.fate))
        .collect();
    assert_eq!(
        ids,
        [
            ("second", Fate::Kept),
            ("first", Fate::Kept),
            ("second", Fate::Duplicate)
        ]
    );
}

/// Line 36.
#[tokio::test]
async fn a_fifo_queue_knows_a_message_again_for_five_minutes() {
    let (simulator, _) = start().await;
    let client = sqs(&simulator);
    let send = async || {
        let call = client
            .send_message_batch()
            .queue_url(QUEUE)
            .entries(message("a", "g", "same"));
        call.send().await.unwrap().successful()[0].message_id().to_owned()
    };
    let first = send().await;
    assert_eq!(send().await, first);
    simulator.step(Duration::from_mins(5));
    assert_ne!(send().await, first);
    let fates: Vec<Fate> = simulator.received().iter().map(|received| received.fate).collect();
    assert_eq!(fates, [Fate::Kept, Fate::Duplicate, Fate::Kept]);
}

/// Line 36.
#[tokio::test]
async fn a_batch_of_messages_has_at_most_ten_and_each_id_once() {
    let (simulator, _) = start().await;
    let client = sqs(&simulator);
    let code = async |ids: &[&str]| {
        let entries = ids.iter().map(|id| message(id, "g", id)).collect();
        let call = client.send_message_batch().queue_url(QUEUE).set_entries(Some(entries));
        call.send().await.unwrap_err().code().unwrap().to_owned()
    };
    let eleven = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
    assert!(code(&eleven).await.contains("TooManyEntriesInBatchRequest"));
    assert!(code(&["0", "0"]).await.contains("BatchEntryIdsNotDistinct"));
    assert!(simulator.received().is_empty());
}

async fn publish(simulator: &Simulator, fields: &str) -> Answer {
    let body = format!("Action=PublishBatch&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A0%3At&{fields}");
    post(
        &simulator.endpoint(),
        "/",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        &body,
    )
    .await
}

/// Line 36.
#[tokio::test]
async fn a_topic_takes_a_form_and_answers_in_xml() {
    let (simulator, _) = start().await;
    let by_sender = EntryFailure {
        sender_fault: true,
        ..failure(1, "InvalidParameter")
    };
    simulator.fail_entries("PublishBatch", vec![by_sender]);
    let entry = |number: usize, id: &str| {
        let member = format!("PublishBatchRequestEntries.member.{number}.");
        format!(
            "{member}Id={id}&{member}Message=caf%C3%A9+%26+more&{member}MessageAttributes.entry.1.Name=kind&\
             {member}MessageAttributes.entry.1.Value.DataType=String&\
             {member}MessageAttributes.entry.1.Value.StringValue=change"
        )
    };
    let answer = publish(&simulator, &format!("{}&{}", entry(1, "a"), entry(2, "b"))).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.contains("<Successful><member><Id>a</Id><MessageId>"),
        "{}",
        answer.body
    );
    let failed = "<Failed><member><Id>b</Id><Code>InvalidParameter</Code>\
                  <Message>the entry failed</Message><SenderFault>true</SenderFault></member></Failed>";
    assert!(answer.body.contains(failed), "{}", answer.body);
    let received = simulator.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].target, "arn:aws:sns:us-east-1:0:t");
    assert_eq!(received[0].entry["Message"], "café & more");
    assert_eq!(received[0].entry["MessageAttributes"]["kind"]["StringValue"], "change");
}

/// Lines 23 and 36.
#[tokio::test]
async fn a_topic_says_no_in_xml_too() {
    let (simulator, _) = start().await;
    let answer = publish(&simulator, "").await;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .contains("<Type>Sender</Type><Code>EmptyBatchRequest</Code>"),
        "{}",
        answer.body
    );
    simulator.queue_fault(FaultRule::next("PublishBatch", Fault::InternalServerError));
    let answer = publish(&simulator, "").await;
    assert_eq!(answer.status, 500);
    assert!(
        answer
            .body
            .contains("<Type>Receiver</Type><Code>InternalFailure</Code>"),
        "{}",
        answer.body
    );
}
