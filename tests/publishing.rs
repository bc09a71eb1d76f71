//! Signed heads, as operators, auditors and witnesses meet them: the guard, proofs that check offline, restored back-ups.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_tests::{TestWitness, Weir, WeirProcess, eventually};

const TABLE: &str = "proof-orders";

/// A Weir beside a table that it records.
struct Shop {
    dynamodb: LocalDynamoDb,
    weir: Weir,
    written: u64,
}

impl Shop {
    async fn open(more: &str) -> Self {
        let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
        dynamodb.ensure_table(TABLE, "id").await.unwrap();
        let weir = Weir::configure(&format!(
            "[source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\n{more}",
            dynamodb.endpoint()
        ));
        let written = 0;
        Self {
            dynamodb,
            weir,
            written,
        }
    }

    /// Changes the table, without waiting for anything.
    async fn write(&mut self, count: u64) {
        for number in self.written..self.written + count {
            let put = self.dynamodb.client().put_item().table_name(TABLE);
            let put = put.item("id", AttributeValue::S(format!("order-{number}")));
            put.item("total", AttributeValue::N(number.to_string()))
                .send()
                .await
                .unwrap();
        }
        self.written += count;
    }

    /// Runs, records and signs `count` more changes.
    async fn run(&mut self, count: u64) -> WeirProcess {
        self.write(count).await;
        let running = self.weir.run(None);
        self.weir.recorded(self.written).await;
        self.signed().await;
        running
    }

    /// Waits until everything that is recorded is signed.
    async fn signed(&self) -> Value {
        self.weir.answers().await;
        eventually("the head is signed", async || {
            let head = self.weir.head().await;
            (head["published"]["size"] == head["size"] && head["published"]["stopped"].is_null()).then_some(head)
        })
        .await
    }

    /// Waits until nothing is signed, and tells why.
    async fn not_signed(&self) -> String {
        self.weir.answers().await;
        eventually("signing stops", async || {
            self.weir.head().await["published"]["stopped"]
                .as_str()
                .map(str::to_owned)
        })
        .await
    }

    /// Has the source record otherwise than before: other entries of the same records.
    fn record_otherwise(&self) {
        let config = std::fs::read_to_string(self.weir.path("weir.toml")).unwrap();
        let otherwise = config.replace("[source.shop]\n", "[source.shop]\nactor = { attribute = \"id\" }\n");
        self.weir.write("weir.toml", &otherwise);
    }

    fn newest_checkpoint(&self) -> String {
        self.weir.database.psql("select max(size) from checkpoint")
    }
}

fn key(head: &Value) -> String {
    head["published"]["keys"][0].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_checks_a_bundle_and_a_proof_with_nothing_but_the_public_key() {
    let mut shop = Shop::open("").await;
    let running = shop.run(20).await;
    let key = key(&shop.signed().await);
    let weir = &shop.weir;
    for command in [
        &["export", "--show", "/new", "--out", "ledger.bundle"][..],
        &[
            "prove",
            TABLE,
            "order-3",
            "--show",
            "/new/total",
            "--out",
            "order.tlog-proof",
        ],
    ] {
        let answer = weir.command(command).await;
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }
    let nothing = [
        "prove",
        TABLE,
        "order-3",
        "--show",
        "/new/odd",
        "--out",
        "nothing.tlog-proof",
    ];
    let answer = weir.command(&nothing).await;
    assert!(answer.stdout.contains("has nothing of what --show names"), "{answer:?}");
    running.stop().await;
    for file in ["ledger.bundle", "order.tlog-proof"] {
        let answer = weir.command(&["verify", file, "--key", &key]).await;
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let other = "other.example.com/log+a6f1b8c5+AQ";
        assert_eq!(weir.command(&["verify", file, "--key", other]).await.code, Some(2));
        assert_eq!(weir.command(&["verify", file]).await.code, Some(2), "nobody to trust");
        let mut bytes = std::fs::read(weir.path(file)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(weir.path(file), bytes).unwrap();
        let answer = weir.command(&["verify", file, "--key", &key]).await;
        assert_eq!(
            (answer.code, answer.stdout.contains("tampered:")),
            (Some(1), true),
            "{answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_shows_that_the_ledger_grew_out_of_the_checkpoint_that_the_auditor_holds() {
    let mut shop = Shop::open("").await;
    let running = shop.run(5).await;
    let held = shop.signed().await["published"]["checkpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    shop.weir.write("held", &held);
    shop.write(5).await;
    shop.weir.recorded(10).await;
    let key = key(&shop.signed().await);
    let weir = &shop.weir;
    let exported = weir
        .command(&["export", "--since", "held", "--from", "3", "--out", "b"])
        .await;
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let verify = ["verify", "b", "--key", &key, "--since", "held"];
    assert_eq!(weir.command(&verify).await.code, Some(0));
    running.stop().await;
}

/// What tlog-tiles serves, put together by hand: the root over the leaf hashes of the partial tile, and over the entries
/// of the bundle, is the checkpoint's.
#[tokio::test(flavor = "multi_thread")]
async fn the_checkpoint_and_its_tiles_are_served_and_entries_want_a_token() {
    let mut shop = Shop::open("").await;
    let running = shop.run(7).await;
    shop.signed().await;
    let get = async |path: &str, token: Option<&str>| {
        let mut command = tokio::process::Command::new("python3");
        let script = "import sys, urllib.request as r\n\
            q = r.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]} if sys.argv[2] else {})\n\
            try: sys.stdout.buffer.write(r.urlopen(q).read())\n\
            except r.HTTPError as e: sys.exit(e.code % 256)";
        let output = command
            .args(["-c", script, &format!("{}{path}", shop.weir.api), token.unwrap_or("")])
            .output();
        let output = output.await.unwrap();
        (output.status.code().unwrap(), output.stdout)
    };
    let (_, checkpoint) = get("/checkpoint", None).await;
    let signed = weir_evidence::SignedCheckpoint::parse(&checkpoint).unwrap();
    assert_eq!(signed.checkpoint().origin, weir_tests::ORIGIN);
    // Entries that account for the records may follow at any moment; this is the tree that is looked at.
    let size = signed.checkpoint().size;
    let (_, tile) = get(&format!("/tile/0/000.p/{size}"), None).await;
    let mut frontier = weir_evidence::Frontier::default();
    tile.as_chunks::<32>().0.iter().for_each(|leaf| frontier.push(*leaf));
    assert_eq!(frontier.root(), signed.checkpoint().root);

    let path = format!("/tile/entries/000.p/{size}");
    assert_eq!(get(&path, None).await.0, 401 % 256);
    let auditor = std::fs::read_to_string(shop.weir.path("auditor.token")).unwrap();
    let (code, bundle) = get(&path, Some(auditor.trim())).await;
    assert_eq!(code, 0);
    let (mut rest, mut frontier) = (bundle.as_slice(), weir_evidence::Frontier::default());
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (entry, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
        frontier.push(weir_evidence::leaf_hash(entry));
        rest = behind;
    }
    assert_eq!(frontier.root(), signed.checkpoint().root);
    // Nothing that was sealed is for auditors, and no tile that was not signed is for anybody.
    assert_eq!(
        get("/v1/entries?from=0&show=all", Some(auditor.trim())).await.0,
        401 % 256
    );
    assert_eq!(get("/tile/0/001", None).await.0, 404 % 256);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_was_cut_off_with_head_and_shard_is_noticed_and_nothing_more_is_signed() {
    let mut shop = Shop::open("").await;
    let running = shop.run(10).await;
    running.stop().await;
    let signed = shop.newest_checkpoint();
    // The administrator keeps what stood after five entries, recomputed consistently.
    let entries = shop.weir.entries().await;
    let mut frontier = weir_evidence::Frontier::default();
    entries[..5].iter().for_each(|entry| frontier.push(entry.leaf));
    let sequence = entries[4].entry.sequence().unwrap().to_string();
    let _ = shop.weir.database.psql(&format!(
        "set session_replication_role = replica; delete from entry where position >= 5; delete from checkpoint where size > 5;
         update ledger_head set size = 5, root = '\\x{}', frontier = '\\x{}';
         update shard set position = '{sequence}', batch_last = null, batch_first = null, batch_after = null, batch_config = null,
            batch_epoch = null, batch_opened_at = null, batch_read = 0, batch_recorded = 0",
        hex(&frontier.root()),
        hex(&frontier.to_bytes()),
    ));
    let running = shop.weir.run(None);
    let why = shop.not_signed().await;
    assert!(why.contains("did not grow out of it"), "{why}");
    // Recording goes on, past the size that was signed, and still nothing is signed.
    shop.write(10).await;
    shop.weir.recorded(shop.written).await;
    assert!(shop.not_signed().await.contains("did not grow out of it"));
    assert_eq!(shop.weir.command(&["export", "--out", "b"]).await.code, Some(1));
    assert!(signed.parse::<u64>().unwrap() > 5);
    running.stop().await;
    assert_eq!(shop.weir.command(&["doctor"]).await.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_back_up_that_grew_past_the_signed_size_is_noticed_and_goes_on_only_under_a_new_origin() {
    let mut shop = Shop::open("").await;
    let running = shop.run(5).await;
    running.stop().await;
    shop.weir.database.back_up();
    let running = shop.run(5).await;
    running.stop().await;
    let guarded = std::fs::read_to_string(shop.weir.path("weir.guard")).unwrap();

    shop.weir.database.restore();
    // The stream still has everything. Recorded in the same way it would be the same history; this is another one.
    shop.record_otherwise();
    shop.write(20).await;
    let running = shop.weir.run(None);
    shop.weir.recorded(shop.written).await;
    let why = shop.not_signed().await;
    assert!(why.contains("did not grow out of it"), "{why}");
    assert_eq!(std::fs::read_to_string(shop.weir.path("weir.guard")).unwrap(), guarded);

    let continued = shop
        .weir
        .command(&["ledger", "continue", "--reason", "the disk broke"])
        .await;
    assert_eq!(
        (continued.code, continued.stdout.contains("/1")),
        (Some(0), true),
        "{continued:?}"
    );
    let head = shop.signed().await;
    assert!(key(&head).starts_with(&format!("{}/1+", weir_tests::ORIGIN)), "{head}");
    running.stop().await;
    let quoted = shop
        .weir
        .entries()
        .await
        .into_iter()
        .find_map(|entry| match entry.entry.kind {
            weir_evidence::EntryKind::Lifecycle { what, detail, .. } if what == "continued" => Some(detail),
            _ => None,
        });
    let quoted = quoted.unwrap();
    assert!(
        quoted.starts_with("the disk broke") && quoted.contains(&guarded),
        "{quoted}"
    );
    assert_eq!(shop.weir.command(&["verify"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_guard_is_an_error_that_only_adopting_clears() {
    let mut shop = Shop::open("").await;
    let running = shop.run(5).await;
    running.stop().await;
    std::fs::remove_file(shop.weir.path("weir.guard")).unwrap();
    let running = shop.weir.run(None);
    assert!(shop.not_signed().await.contains("weir ledger adopt"));
    assert_eq!(shop.weir.command(&["ledger", "adopt"]).await.code, Some(0));
    shop.signed().await;
    let again = shop.weir.command(&["ledger", "adopt"]).await;
    assert_eq!(
        (again.code, again.stderr.contains("nothing to adopt")),
        (Some(1), true),
        "{again:?}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_cosigns_and_catches_what_was_rewritten_together_with_the_guard() {
    let witness = TestWitness::start().await;
    let mut shop = Shop::open(&witness.config()).await;
    let running = shop.run(5).await;
    let head = shop.signed().await;
    let size = head["published"]["size"].as_u64().unwrap();
    eventually("the witness cosigned", async || (witness.size() >= size).then_some(())).await;
    let policy = format!("log {}\n{}\nquorum w\n", key(&head), witness.policy_line());
    shop.weir.write("policy", &policy);
    let answer = eventually("the cosignature is in the export", async || {
        let exported = shop.weir.command(&["export", "--out", "b"]).await;
        assert_eq!(exported.code, Some(0), "{exported:?}");
        let answer = shop.weir.command(&["verify", "b", "--policy", "policy"]).await;
        (answer.code == Some(0)).then_some(answer)
    })
    .await;
    assert!(answer.stdout.contains("proved"));
    running.stop().await;

    // Another history, with a guard that agrees with it.
    shop.weir.database.back_up();
    let running = shop.run(5).await;
    eventually("the witness saw more", async || (witness.size() > size).then_some(())).await;
    running.stop().await;
    shop.weir.database.restore();
    std::fs::remove_file(shop.weir.path("weir.guard")).unwrap();
    shop.record_otherwise();
    shop.write(10).await;
    let running = shop.weir.run(None);
    shop.weir.recorded(shop.written).await;
    assert_eq!(shop.weir.command(&["ledger", "adopt"]).await.code, Some(0));
    let why = eventually("the witness disagrees", async || {
        let why = shop.not_signed().await;
        why.contains("holds another tree").then_some(why)
    })
    .await;
    assert!(why.contains("witness.example.com/w"), "{why}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_rotation_both_keys_sign() {
    let mut shop = Shop::open("").await;
    let running = shop.run(3).await;
    let old = key(&shop.signed().await);
    running.stop().await;
    std::fs::rename(shop.weir.path("signing.key"), shop.weir.path("old.key")).unwrap();
    shop.weir
        .write("signing.key", &weir_tests::SIGNING_KEY.replace('1', "7"));
    let config = std::fs::read_to_string(shop.weir.path("weir.toml")).unwrap();
    shop.weir.write(
        "weir.toml",
        &config.replace("[ledger]\n", "[ledger]\nold_signing_key_file = \"old.key\"\n"),
    );
    let running = shop.run(3).await;
    let new = key(&shop.signed().await);
    assert_ne!(old, new);
    assert_eq!(shop.weir.command(&["export", "--out", "b"]).await.code, Some(0));
    for key in [&old, &new] {
        assert_eq!(
            shop.weir.command(&["verify", "b", "--key", key]).await.code,
            Some(0),
            "{key}"
        );
    }
    running.stop().await;
    assert_eq!(shop.weir.command(&["verify"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_gone_and_destroyed_again_after_a_restore() {
    let mut shop = Shop::open("").await;
    let running = shop.run(5).await;
    running.stop().await;
    shop.weir.database.back_up();
    let running = shop.run(1).await;
    let erased = shop
        .weir
        .command(&[
            "erasure",
            "order",
            TABLE,
            "order-2",
            "--basis",
            "GDPR 17",
            "--approver",
            "ann",
        ])
        .await;
    assert_eq!(
        (erased.code, erased.stdout.contains("1 bodies  done")),
        (Some(0), true),
        "{erased:?}"
    );
    let history = shop.weir.command(&["history", TABLE, "order-2"]).await;
    assert!(history.stdout.contains("no change of this item"), "{history:?}");
    shop.signed().await;
    running.stop().await;
    assert_eq!(shop.weir.command(&["verify"]).await.code, Some(0));
    assert_eq!(shop.weir.command(&["doctor", "--after-restore"]).await.code, Some(0));

    shop.weir.database.restore();
    let doctor = shop.weir.command(&["doctor", "--after-restore"]).await;
    assert_eq!(
        (doctor.code, doctor.stdout.contains("are here again")),
        (Some(1), true),
        "{doctor:?}"
    );
    let running = shop.weir.run(None);
    shop.not_signed().await;
    let continued = shop.weir.command(&["ledger", "continue", "--reason", "restored"]).await;
    assert_eq!(continued.code, Some(0), "{continued:?}");
    // The key of the new order's body is no number that was destroyed, and the ledger says why a body is gone.
    shop.signed().await;
    let history = shop.weir.command(&["history", TABLE, "order-2"]).await;
    assert!(history.stdout.contains("no change of this item"), "{history:?}");
    let ordered = shop.weir.command(&["erasure", "ls"]).await;
    assert!(ordered.stdout.contains("1 bodies  done"), "{ordered:?}");
    running.stop().await;
    let doctor = shop.weir.command(&["doctor", "--after-restore"]).await;
    assert_eq!(
        (doctor.code, doctor.stdout.contains("none of the 1 keys")),
        (Some(0), true),
        "{doctor:?}"
    );
    assert_eq!(shop.weir.command(&["verify"]).await.code, Some(0));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
