//! The pseudonym of an item. [`LedgerSecret`](crate::LedgerSecret) makes it.

/// Stands for an item in an entry: a keyed hash of table and key.
///
/// A pseudonym. Who has no key learns which entries are about one item, not which item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ItemToken {
    /// Names the key that made it, so that old tokens are found after a rotation.
    pub key_id: String,
    /// First 16 bytes of HMAC-SHA-256.
    pub token: [u8; 16],
}
