//! What is withheld: sealed to a public key whose other half the service does not have. HPKE (RFC 9180, base mode) with
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305, in base64: 32 bytes of the encapsulated key, then the
//! ciphertext of zstd-compressed JSON.
//!
//! It stands as `raw` in the body of its entry. So a body of a withheld change is stored, held and erased like every other,
//! and whoever opens it finds nothing that can be read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng as _;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, single_shot_open, single_shot_seal_with_rng,
};
use serde::{Deserialize, Serialize};
use weir_model::{Item, SequenceNumber};
use zeroize::Zeroizing;

use crate::body::BODY_BYTES_MAX;
use crate::{Origin, canonical};

type Kem = X25519HkdfSha256;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

/// Bytes of a key, and of an encapsulated one.
const KEY_BYTES: usize = 32;

/// Separates this use of the key from any other.
const INFO: &[u8] = b"weir/withheld/v1";

/// Fast, as for bodies.
const ZSTD_LEVEL: i32 = 1;

/// What is withheld of a record, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withheld {
    /// Why, for machines: `plugin-error`, `behind-withheld`, ...
    pub code: String,
    /// Why, for people.
    pub message: String,
    /// What the plugin logged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
    /// Primary key of the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Item>,
    /// The item before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Item>,
    /// The item after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Item>,
    /// The service that made the change, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// A record that was not understood, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

/// The key that is sealed to: public, 64 hexadecimal digits in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithholdKey(PublicKey);

/// The key that opens: for those who may see and annotate what is withheld, 64 hexadecimal digits in a file of theirs.
pub struct WithheldSecret {
    private: PrivateKey,
    public: PublicKey,
}

/// The text is no such key. It is not repeated in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key for what is withheld is 64 hexadecimal digits")]
pub struct WithholdKeyError;

/// What was sealed does not open: another key, another place, or changed since.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not sealed to that key, or was changed")]
pub struct WithheldError;

impl WithholdKey {
    /// Reads the 64 hexadecimal digits of a configuration.
    ///
    /// # Errors
    ///
    /// Anything else, and a point that no key has: nothing could be sealed to it.
    pub fn parse(text: &str) -> Result<Self, WithholdKeyError> {
        let mut bytes = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| WithholdKeyError)?;
        let key = PublicKey::from_bytes(&bytes).map(Self).map_err(|_| WithholdKeyError)?;
        // Points of low order show only when they are used (RFC 7748, section 6.1).
        key.seal_bytes(&[], &[], [0; 32]).ok_or(WithholdKeyError)?;
        Ok(key)
    }

    /// Seals what is withheld of one record. `seed` is random and new.
    ///
    /// # Panics
    ///
    /// Never: the key was tried when it was read.
    #[must_use]
    pub fn seal(&self, withheld: &Withheld, origin: &Origin, sequence: &SequenceNumber, seed: [u8; 32]) -> String {
        let plain = Zeroizing::new(serde_json::to_vec(withheld).expect("a record is JSON"));
        let packed = zstd::bulk::compress(&plain, ZSTD_LEVEL).expect("compression into memory succeeds");
        let sealed = self.seal_bytes(&packed, &place(origin, sequence), seed);
        BASE64.encode(sealed.expect("the key was tried, and a record is far below the cipher's limit"))
    }

    fn seal_bytes(&self, plain: &[u8], place: &[u8], seed: [u8; 32]) -> Option<Vec<u8>> {
        let (encapped, sealed) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &self.0,
            INFO,
            plain,
            place,
            &mut ChaCha20Rng::from_seed(seed),
        )
        .ok()?;
        Some([&encapped.to_bytes()[..], &sealed].concat())
    }
}

impl std::fmt::Display for WithholdKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&hex::encode(self.0.to_bytes()))
    }
}

impl WithheldSecret {
    /// Reads the 64 hexadecimal digits of a key file; white space around them is skipped.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, WithholdKeyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text.trim(), &mut *bytes).map_err(|_| WithholdKeyError)?;
        let private = PrivateKey::from_bytes(&*bytes).map_err(|_| WithholdKeyError)?;
        let public = Kem::sk_to_pk(&private);
        Ok(Self { private, public })
    }

    /// What is sealed to it.
    #[must_use]
    pub fn public(&self) -> WithholdKey {
        WithholdKey(self.public.clone())
    }

    /// Opens what was withheld of one record.
    ///
    /// # Errors
    ///
    /// It was not sealed to this key, or not for that record, or was changed since.
    pub fn open(&self, sealed: &str, origin: &Origin, sequence: &SequenceNumber) -> Result<Withheld, WithheldError> {
        let sealed = BASE64.decode(sealed).map_err(|_| WithheldError)?;
        let (encapped, sealed) = sealed.split_at_checked(KEY_BYTES).ok_or(WithheldError)?;
        let encapped = EncappedKey::from_bytes(encapped).map_err(|_| WithheldError)?;
        let packed = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &self.private,
            &encapped,
            INFO,
            sealed,
            &place(origin, sequence),
        );
        let packed = Zeroizing::new(packed.map_err(|_| WithheldError)?);
        let plain = zstd::bulk::decompress(&packed, BODY_BYTES_MAX).map_err(|_| WithheldError)?;
        serde_json::from_slice(&Zeroizing::new(plain)).map_err(|_| WithheldError)
    }
}

impl std::fmt::Debug for WithheldSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "WithheldSecret({})", self.public())
    }
}

/// What is bound to it: of which record it is.
fn place(origin: &Origin, sequence: &SequenceNumber) -> Vec<u8> {
    let mut place = Vec::new();
    for text in [origin.stream.as_str(), origin.shard.as_str(), sequence.as_str()] {
        canonical::string(text, &mut place);
    }
    place
}

#[cfg(test)]
mod tests {
    use weir_model::{ShardId, StreamArn};

    use super::*;

    fn origin(shard: &str) -> Origin {
        Origin {
            stream: StreamArn::parse("arn").unwrap(),
            shard: ShardId::parse(shard).unwrap(),
        }
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_in_its_place_and_not_otherwise() {
        let secret = WithheldSecret::parse(&format!("{}\n", "0a".repeat(32))).unwrap();
        let other = WithheldSecret::parse(&"0b".repeat(32)).unwrap();
        let (five, six) = (SequenceNumber::parse("5").unwrap(), SequenceNumber::parse("6").unwrap());
        let withheld = Withheld {
            code: "plugin-error".to_owned(),
            keys: Some(serde_json::from_str(r#"{"id":{"S":"secret-secret-secret"}}"#).unwrap()),
            ..Withheld::default()
        };
        let key = WithholdKey::parse(&secret.public().to_string()).unwrap();
        let sealed = key.seal(&withheld, &origin("s"), &five, [7; 32]);
        assert_eq!(secret.open(&sealed, &origin("s"), &five), Ok(withheld.clone()));
        assert_eq!(other.open(&sealed, &origin("s"), &five), Err(WithheldError));
        assert_eq!(secret.open(&sealed, &origin("t"), &five), Err(WithheldError));
        assert_eq!(secret.open(&sealed, &origin("s"), &six), Err(WithheldError));
        assert_eq!(secret.open(&sealed[4..], &origin("s"), &five), Err(WithheldError));
        assert_eq!(secret.open("", &origin("s"), &five), Err(WithheldError));
        assert_ne!(key.seal(&withheld, &origin("s"), &five, [8; 32]), sealed);
        assert!(!format!("{secret:?}").contains("0a0a"));
    }

    #[test]
    fn a_key_is_64_hexadecimal_digits() {
        assert_eq!(WithholdKey::parse("abc"), Err(WithholdKeyError));
        assert!(WithheldSecret::parse("abc").is_err());
        // 0 and 1 are points of order 4 and 1: no secret can be agreed on with them.
        for point in ["00".repeat(32), format!("01{}", "00".repeat(31))] {
            assert_eq!(WithholdKey::parse(&point), Err(WithholdKeyError), "{point}");
        }
    }
}
