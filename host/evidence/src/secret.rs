//! The one secret of a ledger, and the keys that come from it.
//!
//! | key | for |
//! | --- | --- |
//! | wrapping key | sealing segment keys before they go to Postgres |
//! | item key | item tokens: look-up without revealing keys |
//! | lane key | lanes: which worker routes an item; never rotated |
//! | redaction key | hashes that stand for values which plugins redact |
//! | artefact key | files that an installation wrote for itself |
//!
//! The secret is kept outside the database. Without it no body opens and no item is found; with it and the database
//! both can be done. Losing it loses every body, so the first thing to do with it is a back-up.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use weir_model::{AttributeValue, Item};
use zeroize::Zeroizing;

use crate::{ItemToken, canonical};

/// Bytes of the nonce that stands before a wrapped segment key (AES-GCM: 96 bits).
const NONCE_BYTES: usize = 12;

/// The secret of a ledger: 32 random bytes, 64 hexadecimal digits in its file.
pub struct LedgerSecret {
    wrapping: Zeroizing<[u8; 32]>,
    item: Zeroizing<[u8; 32]>,
    lane: Zeroizing<[u8; 32]>,
    artefact: Zeroizing<[u8; 32]>,
    redaction: Zeroizing<[u8; 32]>,
    id: String,
}

/// The text is not a ledger's secret. The text is not repeated in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a ledger's secret is 64 hexadecimal digits")]
pub struct SecretError;

impl LedgerSecret {
    /// Takes 32 bytes from a generator of the operating system.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let derive = |label: &str| Zeroizing::new(mac(secret, &[label.as_bytes()]));
        let item = derive("weir/item-key/v1");
        let id = hex::encode(
            &Sha256::new_with_prefix(b"weir/key-id/v1")
                .chain_update(*item)
                .finalize()[..4],
        );
        Self {
            wrapping: derive("weir/wrapping-key/v1"),
            item,
            lane: derive("weir/lane-key/v1"),
            artefact: derive("weir/artefact-key/v1"),
            redaction: derive("weir/redaction-key/v1"),
            id,
        }
    }

    /// Reads the 64 hexadecimal digits of a secret's file; white space around them is skipped.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), &mut *secret).map_err(|_| SecretError)?;
        Ok(Self::new(&secret))
    }

    /// Public name of this secret, 8 hexadecimal digits: says which secret a ledger needs, and nothing about it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What an installation authenticates files with that it wrote for itself.
    #[must_use]
    pub fn artefact_key(&self) -> &[u8; 32] {
        &self.artefact
    }

    /// The token of an item.
    #[must_use]
    pub fn item_token(&self, table: &str, keys: &Item) -> ItemToken {
        let mac = mac_item(&self.item, table, keys);
        ItemToken {
            key_id: self.id.clone(),
            token: mac[..16].try_into().expect("32 bytes have 16"),
        }
    }

    /// The lane of an item, 0 to 255.
    #[must_use]
    pub fn lane(&self, table: &str, keys: &Item) -> u8 {
        mac_item(&self.lane, table, keys)[0]
    }

    /// What stands for a value that a plugin has redacted by hashing: `hash:`, the secret's [id](Self::id), and 32 hexadecimal
    /// digits. The same value gives the same, in every item of the ledger.
    #[must_use]
    pub fn hash_value(&self, value: &AttributeValue) -> String {
        let mut text = Vec::with_capacity(64);
        canonical::attribute_value(value, &mut text);
        let mac = mac(&self.redaction, &[&text]);
        format!("hash:{}:{}", self.id, hex::encode(&mac[..16]))
    }

    /// Seals a segment key for storage. `nonce` must be random and new; `context` is bound to it (which segment of which
    /// ledger), so that rows cannot change places.
    #[must_use]
    pub fn wrap(&self, plain: &[u8], nonce: [u8; NONCE_BYTES], context: &str) -> Vec<u8> {
        let payload = Payload {
            msg: plain,
            aad: context.as_bytes(),
        };
        let sealed = self
            .cipher()
            .encrypt(&Nonce::from(nonce), payload)
            .expect("AES-GCM takes a few kilobytes");
        [&nonce[..], &sealed].concat()
    }

    /// Opens what [`Self::wrap`] sealed; `None` if this secret, this context or these bytes are not the ones.
    #[must_use]
    pub fn unwrap(&self, wrapped: &[u8], context: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: sealed,
            aad: context.as_bytes(),
        };
        self.cipher()
            .decrypt(&Nonce::from(*nonce), payload)
            .ok()
            .map(Zeroizing::new)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*self.wrapping))
    }
}

impl std::fmt::Debug for LedgerSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LedgerSecret({})", self.id)
    }
}

/// Whether a value is what [`LedgerSecret::hash_value`] leaves of another.
#[must_use]
pub fn is_hash(value: &AttributeValue) -> bool {
    let is_hex = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts = value
        .as_text()
        .and_then(|text| text.strip_prefix("hash:")?.split_once(':'));
    parts.is_some_and(|(id, hash)| is_hex(id, 8) && is_hex(hash, 32))
}

fn mac_item(key: &[u8; 32], table: &str, keys: &Item) -> [u8; 32] {
    let mut canonical_keys = Vec::with_capacity(64);
    canonical::item(keys, &mut canonical_keys);
    mac(
        key,
        &[&(table.len() as u64).to_be_bytes(), table.as_bytes(), &canonical_keys],
    )
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256>>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Item {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn tokens_tell_items_and_tables_and_secrets_apart() {
        let secret = LedgerSecret::new(&[1; 32]);
        let token = secret.item_token("orders", &keys(r#"{"id":{"S":"1"}}"#));
        assert_eq!(token, secret.item_token("orders", &keys(r#"{"id":{"S":"1"}}"#)));
        assert_ne!(token, secret.item_token("orders", &keys(r#"{"id":{"N":"1"}}"#)));
        assert_ne!(token, secret.item_token("order", &keys(r#"{"id":{"S":"1"}}"#)));
        assert_ne!(
            token,
            LedgerSecret::new(&[2; 32]).item_token("orders", &keys(r#"{"id":{"S":"1"}}"#))
        );
    }

    #[test]
    fn a_hash_stands_for_a_value_and_tells_types_and_secrets_apart() {
        let hash = |secret: u8, value| LedgerSecret::new(&[secret; 32]).hash_value(&value);
        let text = hash(1, AttributeValue::text("1"));
        assert_eq!(text, hash(1, AttributeValue::text("1")));
        assert!(text.starts_with(&format!("hash:{}:", LedgerSecret::new(&[1; 32]).id())));
        assert!(is_hash(&AttributeValue::text(&text)) && !is_hash(&AttributeValue::text(&text[1..])));
        assert_ne!(
            text,
            hash(1, AttributeValue::N(weir_model::Number::parse("1").unwrap()))
        );
        assert_ne!(text[14..], hash(2, AttributeValue::text("1"))[14..]);
    }

    #[test]
    fn a_wrapped_key_opens_only_in_its_own_place() {
        let secret = LedgerSecret::new(&[1; 32]);
        let wrapped = secret.wrap(b"segment", [7; 12], "main/0");
        assert_eq!(secret.unwrap(&wrapped, "main/0").unwrap().as_slice(), b"segment");
        assert!(secret.unwrap(&wrapped, "main/1").is_none());
        assert!(LedgerSecret::new(&[2; 32]).unwrap(&wrapped, "main/0").is_none());
        assert!(secret.unwrap(&wrapped[..5], "main/0").is_none());
    }

    #[test]
    fn a_secret_is_64_hexadecimal_digits_and_never_printed() {
        let secret = LedgerSecret::parse(&format!("{}\n", "0a".repeat(32))).unwrap();
        assert!(!format!("{secret:?}").contains("0a0a"));
        assert_eq!(LedgerSecret::parse("abc").unwrap_err(), SecretError);
    }
}
