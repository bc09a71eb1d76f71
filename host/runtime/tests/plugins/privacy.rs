//! The example at intake, through the component.

use expect_test::expect;
use serde_json::json;
use weir_model::{AttributedChange, Operation};
use weir_runtime::{Annotation, Batch, Fault, HostError};

use crate::support::{Loaded, SMALL, built, change, insert};

const KNOWN: &str = r#"{"states": ["placed", "paid"]}"#;

async fn annotate(changes: &[AttributedChange]) -> Vec<Result<Annotation, Fault>> {
    let privacy = Loaded::new(built("privacy"), KNOWN, SMALL).await;
    let batch = Batch::new(changes.to_vec());
    privacy
        .plugin
        .annotate(batch, &privacy.config, &privacy.manifest)
        .await
        .unwrap()
}

fn shown(answer: &Result<Annotation, Fault>) -> String {
    match answer {
        Ok(annotation) => {
            let redactions: Vec<String> = annotation.redactions.iter().map(ToString::to_string).collect();
            format!(
                "by {} {:?} {}",
                annotation.actor.as_deref().unwrap_or("nobody"),
                annotation.tags,
                redactions.join(", ")
            )
        }
        Err(fault) => format!("{}: {}", fault.code.as_str(), fault.message),
    }
}

#[tokio::test]
async fn exactly_the_changes_that_it_fails_on_have_no_annotation() {
    let order = |status: &str, at: &str| {
        Some(json!({"status": {"S": status}, "updated_by": {"S": "maria"}, "updated_at": {"S": at}}))
    };
    let answers = annotate(&[
        change(0, Operation::Modify, order("placed", "1"), order("paid", "2")),
        change(1, Operation::Modify, order("placed", "1"), order("refunded", "2")),
        change(2, Operation::Modify, order("placed", "1"), order("placed", "1")),
        change(3, Operation::Remove, order("refunded", "1"), None),
    ])
    .await;
    let lines: Vec<String> = answers.iter().map(shown).collect();
    expect![[r#"
        by clerk/maria [("class", "personal")] hash old /customer, hash new /customer, mask old /note, mask new /note
        plugin-error: what an order that is "refunded" has in it is not known
        by nobody [("class", "personal")] hash old /customer, hash new /customer, mask old /note, mask new /note
        by nobody [("class", "personal")] hash old /customer, hash new /customer, mask old /note, mask new /note"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn annotations_are_the_same_whole_split_and_backwards() {
    let changes: Vec<AttributedChange> = (0..50)
        .map(|number| {
            let status = if number % 7 == 3 { "refunded" } else { "paid" };
            insert(number, json!({"status": {"S": status}, "updated_by": {"S": format!("clerk-{number}")}, "updated_at": {"S": "1"}}))
        })
        .collect();
    let privacy = Loaded::new(built("privacy"), KNOWN, SMALL).await;
    let batch = Batch::new(changes);
    let probed = privacy
        .plugin
        .probe_annotations(&batch, &privacy.config, &privacy.manifest)
        .await
        .unwrap();
    assert_eq!(probed.unsteady, None);
    let failed = probed.answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(failed, 7);
}

#[tokio::test]
async fn a_router_does_not_annotate() {
    let shop = Loaded::new(built("shop"), "{}", SMALL).await;
    let batch = Batch::new(vec![insert(0, json!({}))]);
    let error = shop.plugin.annotate(batch, "{}", &shop.manifest).await.unwrap_err();
    assert!(matches!(error, HostError::OtherHook(_)), "{error}");
    assert!(error.to_string().contains("`plugin` of a route"), "{error}");
}
