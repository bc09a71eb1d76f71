//! What auditors check with a public key and files: bundles, proofs, checkpoints and tiles, by every key that signs.

use crate::shop::{Shop, TABLE, key};

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
