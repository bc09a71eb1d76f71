//! Signatures of Standard Webhooks: HMAC-SHA256 over `<id>.<timestamp>.<body>`, one for each secret
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Message;

/// Bytes of a secret (Standard Webhooks, "Signature scheme").
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Secrets that a message is signed with at a time.
const SECRETS_MAX: usize = 4;

const PREFIX: &str = "whsec_";

/// Signs messages.
pub(super) struct Signer {
    secrets: Vec<Zeroizing<Vec<u8>>>,
}

/// Why there is nothing to sign with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// None was given.
    #[error("there is no secret to sign with; make one with `echo whsec_$(openssl rand -base64 32)`")]
    None,
    /// More than receivers can be asked to try.
    #[error("there are {0} secrets to sign with, at most {SECRETS_MAX} are taken: the one, and those before it")]
    Many(usize),
    /// One that is none. Which, counted from 1; never what it says.
    #[error(
        "secret {0} to sign with is none: `whsec_` and 24 to 64 bytes in base64. Make one with `echo whsec_$(openssl rand \
         -base64 32)`"
    )]
    Malformed(usize),
}

impl Signer {
    pub(super) fn new(secrets: &[Zeroizing<String>]) -> Result<Self, SecretError> {
        match secrets.len() {
            0 => return Err(SecretError::None),
            1..=SECRETS_MAX => {}
            count => return Err(SecretError::Many(count)),
        }
        let read = |(index, secret): (usize, &Zeroizing<String>)| {
            let encoded = secret.strip_prefix(PREFIX);
            let secret = encoded.and_then(|encoded| STANDARD.decode(encoded).ok().map(Zeroizing::new));
            secret
                .filter(|secret| SECRET_BYTES.contains(&secret.len()))
                .ok_or(SecretError::Malformed(index + 1))
        };
        let secrets = secrets.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Self { secrets })
    }

    /// The header `webhook-signature`.
    pub(super) fn sign(&self, message: &Message, timestamp: i64) -> String {
        let signatures = self.secrets.iter().map(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length is taken");
            mac.update(format!("{}.{timestamp}.", message.delivery.as_str()).as_bytes());
            mac.update(message.body.as_bytes());
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Standard Webhooks, "Signature scheme".
    #[test]
    fn a_secret_that_is_too_short_too_long_or_no_base64_is_refused() {
        let secret = |bytes: usize| format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]));
        let check = |secrets: &[String], expected: Option<SecretError>| {
            let given: Vec<Zeroizing<String>> = secrets.iter().cloned().map(Zeroizing::new).collect();
            assert_eq!(Signer::new(&given).err(), expected, "{secrets:?}");
        };
        check(&[], Some(SecretError::None));
        for (bytes, expected) in [
            (23, Some(SecretError::Malformed(1))),
            (24, None),
            (64, None),
            (65, Some(SecretError::Malformed(1))),
        ] {
            check(&[secret(bytes)], expected);
        }
        check(&[secret(32), STANDARD.encode([7; 32])], Some(SecretError::Malformed(2)));
        check(&[format!("{PREFIX}***")], Some(SecretError::Malformed(1)));
        check(&vec![secret(32); 5], Some(SecretError::Many(5)));
    }
}
