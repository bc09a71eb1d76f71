//! Figures of this process, in the text format that Prometheus reads (exposition format 0.0.4).
//!
//! Each process tells of what it reads itself: all processes of a ledger together tell everything, once.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use weir_pipeline::{IntakeFigures, ShardFigures, SourceFigures};

use crate::server::Answers;

/// Media type of the format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`
pub(crate) async fn metrics(State(answers): State<Answers>) -> impl IntoResponse {
    let text = render(&answers.intake.figures(), answers.intake.stuck().len());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}

/// A figure of sources: its name, what it says, and how it is had.
type SourceMetric = (&'static str, &'static str, fn(&SourceFigures) -> u64);

const OF_SOURCES: [SourceMetric; 6] = [
    (
        "weir_source_reads_total",
        "GetRecords calls that were answered.",
        |source| source.reads,
    ),
    ("weir_source_records_total", "Records that came.", |source| {
        source.records
    }),
    (
        "weir_source_repeats_total",
        "Records that came again and were dropped.",
        |source| source.repeats,
    ),
    (
        "weir_source_throttles_total",
        "Calls that the service throttled.",
        |source| source.throttles,
    ),
    (
        "weir_source_gaps_total",
        "Gaps that were recorded: records that were lost, or may have been.",
        |source| source.gaps,
    ),
    (
        "weir_source_withheld_total",
        "Changes that were recorded for nobody to see until they are annotated again.",
        |source| source.withheld,
    ),
];

/// A figure of shards.
type ShardMetric = (&'static str, &'static str, fn(&ShardFigures) -> f64);

const OF_SHARDS: [ShardMetric; 2] = [
    (
        "weir_shard_behind_seconds",
        "Age of the last record of the last page; the service trims at 86400. 0 when a page brought nothing.",
        |shard| shard.behind.as_secs_f64(),
    ),
    (
        "weir_shard_still_seconds",
        "How long nothing was read and recorded, not even an empty page.",
        |shard| shard.still.as_secs_f64(),
    ),
];

fn render(figures: &IntakeFigures, stuck: usize) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    for (name, help, value) in OF_SOURCES {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for source in &figures.sources {
            let _ = writeln!(text, "{name}{{source=\"{}\"}} {}", label(&source.source), value(source));
        }
    }
    for (name, help, value) in OF_SHARDS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for shard in &figures.shards {
            let (source, id) = (label(&shard.source), label(&shard.shard));
            let _ = writeln!(text, "{name}{{source=\"{source}\",shard=\"{id}\"}} {}", value(shard));
        }
    }
    let _ = writeln!(
        text,
        "# HELP weir_standstills What does not move, as /readyz names it.\n# TYPE weir_standstills gauge\nweir_standstills {stuck}"
    );
    text
}

/// The value of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn figures_are_told_with_what_they_say() {
        let figures = IntakeFigures {
            sources: vec![SourceFigures {
                source: "shop".to_owned(),
                reads: 3,
                records: 20,
                gaps: 1,
                ..SourceFigures::default()
            }],
            shards: vec![ShardFigures {
                source: "shop".to_owned(),
                shard: "a\"b".to_owned(),
                behind: Duration::from_millis(1500),
                still: Duration::ZERO,
            }],
        };
        let text = render(&figures, 2);
        for line in [
            "# TYPE weir_source_gaps_total counter",
            "weir_source_records_total{source=\"shop\"} 20",
            "weir_source_gaps_total{source=\"shop\"} 1",
            "# TYPE weir_shard_behind_seconds gauge",
            "weir_shard_behind_seconds{source=\"shop\",shard=\"a\\\"b\"} 1.5",
            "weir_standstills 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }
}
