//! Signatures: where keys are trusted, nothing runs that they did not sign.

use std::io::Cursor;

use minisign::KeyPair;
use serde_json::{Value, json};

use crate::World;

#[tokio::test(flavor = "multi_thread")]
async fn where_keys_are_trusted_only_what_they_signed_is_taken() {
    let (ours, theirs) = (key(), key());
    let trusted = ours.pk.to_base64();
    let world = World::new(&format!("[plugins]\ntrusted_keys = [\"{trusted}\"]\n")).await;
    let running = world.running().await;
    let file = world.build(0);
    let other = std::fs::read(world.build(1)).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let refusals = [
        (None, "only signed plugins are taken here"),
        (
            Some(sign(&theirs, &bytes)),
            "no trusted key made this signature of this component",
        ),
        (
            Some(sign(&ours, &other)),
            "no trusted key made this signature of this component",
        ),
        (Some("RWQ".to_owned()), "the signature cannot be read"),
    ];
    for (signature, why) in refusals {
        if let Some(signature) = signature {
            std::fs::write(format!("{file}.minisig"), signature).unwrap();
        }
        let refused = world.refused(&["push", &file]).await;
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(world.plugin_json(&["list"]).await["plugins"], Value::Array(Vec::new()));
    std::fs::write(format!("{file}.minisig"), sign(&ours, &bytes)).unwrap();
    assert_eq!(world.plugin_json(&["push", &file]).await["signer"], *trusted);
    running.stop().await;
}

/// Keys came to be trusted after it, or are trusted no more.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_uploaded_before_runs_only_once_a_trusted_key_signed_it() {
    let world = World::new("").await;
    let running = world.running().await;
    let file = world.build(0);
    world.plugin_json(&["push", &file]).await;
    world.plugin_json(&["promote", "poison", "--grant"]).await;
    world.plugin_json(&["rollback"]).await;
    running.stop().await;

    let ours = key();
    let config = std::fs::read_to_string(world.weir.path("weir.toml")).unwrap();
    let trusted = format!("{config}[plugins]\ntrusted_keys = [\"{}\"]\n", ours.pk.to_base64());
    world.weir.write("weir.toml", &trusted);
    let running = world.running().await;
    for command in [["promote", "poison", "--grant"].as_slice(), &["rollback", "--to", "2"]] {
        let refused = world.refused(command).await;
        assert!(refused.contains("no trusted key signed this plugin"), "{refused}");
    }
    let digest = world.plugin_json(&["show", "poison"]).await["digest"].take();
    let plugin = format!("sha256:{}", digest.as_str().unwrap());
    // As an object or, as JSON may have it, a list of its values.
    let as_object = json!({ "source": "shop", "plugin": plugin, "sinks": ["bus"] });
    let as_list = json!(["shop", null, plugin, {}, "dead-letter", null, null, null, ["bus"]]);
    for route in [as_object, as_list] {
        let (status, said) = world.apply(route).await;
        assert_eq!(status, 403, "{said}");
        assert!(said.contains("no trusted key signed this plugin"), "{said}");
    }
    let of_a_file = json!({ "source": "shop", "plugin": file, "sinks": ["bus"] });
    let (status, said) = world.apply(of_a_file).await;
    assert!(status == 422 && said.contains("is none that was uploaded"), "{said}");
    std::fs::write(format!("{file}.minisig"), sign(&ours, &std::fs::read(&file).unwrap())).unwrap();
    world.plugin_json(&["push", &file]).await;
    world.plugin_json(&["promote", "poison", "--grant"]).await;
    let uploads = world
        .steps()
        .await
        .iter()
        .filter(|step| *step == "plugin-uploaded")
        .count();
    assert_eq!(uploads, 2);
    running.stop().await;
}

impl World {
    /// Would apply its configuration with another route.
    async fn apply(&self, route: Value) -> (u16, String) {
        let config = std::fs::read_to_string(self.weir.path("weir.toml")).unwrap();
        let config: Value = toml::from_str(&config).unwrap();
        let definition = json!({ "source": config["source"], "sink": config["sink"], "route": { "all": route } });
        let request = json!({ "definition": definition, "dry_run": true });
        self.weir.post("/v1/configuration", &request).await
    }
}

fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

fn sign(key: &KeyPair, bytes: &[u8]) -> String {
    let signed = minisign::sign(Some(&key.pk), &key.sk, Cursor::new(bytes), None, None);
    signed.unwrap().into_string()
}
