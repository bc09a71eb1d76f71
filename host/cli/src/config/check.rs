//! What can be said of a configuration without anything but the file: names, references, patterns, templates.

use anyhow::{Context as _, Result, ensure};
use weir_ledger::FailurePolicy;
use weir_model::is_reserved;
use weir_routing::{DetailTemplate, Pattern};

use super::{Loaded, SinkConfig, SinkKind};

/// Sinks of one route. Their names stand in an entry of the ledger.
const SINKS_MAX: usize = 64;

/// Partitions of a route, at most: each has a cursor that is settled by itself.
const PARTITIONS_MAX: u8 = 64;

impl Loaded {
    pub(super) fn check(&self) -> Result<()> {
        let config = &self.config;
        let names = config
            .source
            .keys()
            .chain(config.sink.keys())
            .chain(config.route.keys());
        for name in names {
            ensure!(
                is_name(name),
                "{name:?} cannot be a name: use 1 to 64 lower-case letters, digits and hyphens"
            );
        }
        self.trusted_keys()?;
        let withhold_to = self.withhold_to()?;
        for (name, source) in &config.source {
            ensure!(
                source.annotator.is_none() || withhold_to.is_some(),
                "[source.{name}] has an `annotator`, so it has to be known to whom what it fails on is sealed: make a key with \
                 `weir withheld new-key FILE`, and set `withhold_to` under [ledger]"
            );
            let given = [
                source.table.is_some(),
                source.stream_arn.is_some(),
                source.recorded.is_some(),
            ];
            ensure!(
                given.into_iter().filter(|given| *given).count() == 1,
                "[source.{name}] needs either `table`, `stream_arn` or `recorded`"
            );
        }
        for (name, sink) in &config.sink {
            sink.check().with_context(|| format!("[sink.{name}] cannot be used"))?;
        }
        for (name, route) in &config.route {
            ensure!(
                config.source.contains_key(&route.source),
                "[route.{name}] takes from the source {:?}, but there is no [source.{0}]",
                route.source
            );
            ensure!(
                !route.sinks.is_empty(),
                "[route.{name}] has no `sinks`: its events would go nowhere"
            );
            ensure!(
                route.sinks.len() <= SINKS_MAX,
                "[route.{name}] has {} `sinks`, at most {SINKS_MAX} are taken: make several routes of it",
                route.sinks.len()
            );
            let partitions = route.partitions.get();
            ensure!(
                partitions <= PARTITIONS_MAX,
                "[route.{name}] has {partitions} `partitions`, at most {PARTITIONS_MAX} are taken"
            );
            ensure!(
                partitions == 1 || route.failure != FailurePolicy::Halt,
                "[route.{name}] halts where its plugin fails, and has {partitions} `partitions`: the others would go on. Give it 1, or \
                 another `failure`"
            );
            for (index, sink) in route.sinks.iter().enumerate() {
                ensure!(
                    !route.sinks[..index].contains(sink),
                    "[route.{name}] names the sink {sink:?} twice in `sinks`: it would get everything twice under one id"
                );
                ensure!(
                    config.sink.contains_key(sink),
                    "[route.{name}] sends to the sink {sink:?}, but there is no [sink.{sink}]"
                );
            }
            let expected = route.case.iter().flat_map(|case| &case.expect);
            for sink in expected.filter_map(|expected| expected.sink.as_ref()) {
                ensure!(
                    route.sinks.contains(sink),
                    "a case of [route.{name}] expects something at {sink:?}, which is none of the route's `sinks`"
                );
            }
            if let Some(template) = &route.template {
                check_template(template).with_context(|| format!("the template of [route.{name}] cannot be used"))?;
            }
            if let Some(projection) = &route.projection {
                check_template(&projection.template)
                    .with_context(|| format!("the projection of [route.{name}] cannot be used"))?;
            }
            if let Some(pattern) = &route.pattern {
                Pattern::parse(pattern)
                    .with_context(|| format!("the event pattern of [route.{name}] cannot be read"))?;
            }
        }
        Ok(())
    }
}

impl SinkConfig {
    fn check(&self) -> Result<()> {
        match &self.kind {
            SinkKind::Sqs(sqs) => ensure!(
                sqs.queue.starts_with("https://") || sqs.queue.starts_with("http://"),
                "`queue` is the URL of a queue, such as https://sqs.eu-central-1.amazonaws.com/123456789012/orders, not {:?}",
                sqs.queue
            ),
            SinkKind::Sns(sns) => ensure!(
                sns.topic.starts_with("arn:"),
                "`topic` is the ARN of a topic, such as arn:aws:sns:eu-central-1:123456789012:orders, not {:?}",
                sns.topic
            ),
            _ => {}
        }
        Ok(())
    }
}

fn check_template(text: &str) -> Result<()> {
    let template = DetailTemplate::parse(text)?;
    let taken = template.names().find(|name| is_reserved(name));
    ensure!(
        taken.is_none(),
        "it sets {:?}, which Weir sets itself; give it another name",
        taken.unwrap_or_default()
    );
    Ok(())
}

/// Whether sections and ledgers may be called so.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const BASE: &str = "[ledger]\nname = \"main\"\nkey_file = \"weir.key\"\n";

    /// Checks what is said about the base configuration with `more` behind it.
    #[track_caller]
    fn check(more: &str, expected: Expect) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weir.toml");
        std::fs::write(&path, format!("{BASE}{more}")).unwrap();
        let said = match Loaded::read(&path) {
            Ok(_) => "fine".to_owned(),
            Err(error) => format!("{error:#}").replace(&path.display().to_string(), "weir.toml"),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn what_a_sink_is_called_elsewhere_is_no_address_of_it() {
        check(
            "[sink.queue]\ntype = \"sqs\"\nqueue = \"orders\"\n",
            expect![[
                r#"the configuration weir.toml cannot be used: [sink.queue] cannot be used: `queue` is the URL of a queue, such as https://sqs.eu-central-1.amazonaws.com/123456789012/orders, not "orders""#
            ]],
        );
        check(
            "[sink.topic]\ntype = \"sns\"\ntopic = \"orders\"\n",
            expect![[
                r#"the configuration weir.toml cannot be used: [sink.topic] cannot be used: `topic` is the ARN of a topic, such as arn:aws:sns:eu-central-1:123456789012:orders, not "orders""#
            ]],
        );
    }

    #[test]
    fn a_route_names_each_sink_once() {
        check(
            "[source.shop]\ntable = \"t\"\n[sink.a]\ntype = \"log\"\nfile = \"events\"\n[route.all]\nsource = \"shop\"\nsinks = [\"a\", \"a\"]\n",
            expect![[
                r#"the configuration weir.toml cannot be used: [route.all] names the sink "a" twice in `sinks`: it would get everything twice under one id"#
            ]],
        );
    }

    #[test]
    fn a_route_has_no_more_sinks_than_an_entry_can_name() {
        let sinks = vec!["\"a\""; SINKS_MAX + 1].join(", ");
        check(
            &format!(
                "[source.shop]\ntable = \"t\"\n[sink.a]\ntype = \"log\"\nfile = \"events\"\n[route.all]\nsource = \"shop\"\nsinks = [{sinks}]\n"
            ),
            expect![
                "the configuration weir.toml cannot be used: [route.all] has 65 `sinks`, at most 64 are taken: make several routes of it"
            ],
        );
    }

    #[test]
    fn a_whole_configuration_is_fine() {
        check(
            r#"
            [source.shop]
            table = "shop-orders"
            start = "latest"
            region = "eu-central-1"
            actor = { attribute = "updated_by", freshness = "updated_at" }
            [sink.bus]
            type = "eventbridge"
            endpoint = "http://127.0.0.1:5000"
            [route.orders]
            source = "shop"
            pattern = '{"detail": {"operation": ["insert"]}}'
            plugin = "shop.wasm"
            plugin_config = { large_order = 500 }
            sinks = ["bus"]
            retry = { first = "2s", attempts_max = 10 }
            "#,
            expect!["fine"],
        );
    }

    #[test]
    fn an_unknown_key_is_shown_where_it_stands() {
        check(
            "[api]\nlisten_on = \"127.0.0.1:1\"\n",
            expect![[r#"
                weir.toml: TOML parse error at line 5, column 1
                  |
                5 | listen_on = "127.0.0.1:1"
                  | ^^^^^^^^^
                unknown field `listen_on`, expected one of `listen`, `token_file`, `auditor_token_file`"#]],
        );
    }

    #[test]
    fn a_pace_that_the_service_would_throttle_is_refused() {
        check(
            "[source.shop]\ntable = \"t\"\nreads_per_second = 11\n",
            expect![[r#"
                weir.toml: TOML parse error at line 6, column 20
                  |
                6 | reads_per_second = 11
                  |                    ^^
                `reads_per_second` is 11; give a number from 1 to 10"#]],
        );
    }

    #[test]
    fn references_to_nothing_are_named() {
        check(
            "[route.orders]\nsource = \"shop\"\nsinks = [\"bus\"]\n",
            expect![[
                r#"the configuration weir.toml cannot be used: [route.orders] takes from the source "shop", but there is no [source.shop]"#
            ]],
        );
        check(
            "[source.shop]\n",
            expect![
                "the configuration weir.toml cannot be used: [source.shop] needs either `table`, `stream_arn` or `recorded`"
            ],
        );
        check(
            "[source.Shop]\ntable = \"t\"\n",
            expect![[
                r#"the configuration weir.toml cannot be used: "Shop" cannot be a name: use 1 to 64 lower-case letters, digits and hyphens"#
            ]],
        );
    }

    #[test]
    fn a_template_that_cannot_be_used_is_said() {
        const ROUTE: &str = "[source.s]\ntable = \"t\"\n[sink.l]\ntype = \"log\"\nfile = \"f\"\n[route.r]\nsource = \"s\"\nsinks = [\"l\"]\n";
        check(
            &format!("{ROUTE}template = '{{\"position\": <$.detail.position>}}'\n"),
            expect![[
                r#"the configuration weir.toml cannot be used: the template of [route.r] cannot be used: it sets "position", which Weir sets itself; give it another name"#
            ]],
        );
        check(
            &format!("{ROUTE}template = '[<$.detail>]'\n"),
            expect![
                "the configuration weir.toml cannot be used: the template of [route.r] cannot be used: byte 0 of the template: the template is an object of JSON, with places as values or inside of texts"
            ],
        );
    }
}
