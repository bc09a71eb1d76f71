//! Networks in CIDR notation (RFC 4632, RFC 4291): `10.0.0.0/8`, `2001:db8::/32`.

use std::net::IpAddr;

/// The addresses that begin with the same bits. IPv4 and IPv6 are apart: neither is ever in a network of the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    /// Reads an address, a slash and the number of bits that count; bits after those are ignored.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix_bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        // `u32::from_str` takes a plus sign, networks have none.
        let prefix_bits: u32 = prefix_bits.parse().ok().filter(|_| !prefix_bits.starts_with('+'))?;
        let (_, address_bits) = bits(address);
        (prefix_bits <= address_bits).then_some(Self { address, prefix_bits })
    }

    /// Whether `text` is an address in this network.
    pub(super) fn contains(&self, text: &str) -> bool {
        let Ok(found) = text.parse() else {
            return false;
        };
        let (network, network_bits) = bits(self.address);
        let (found, found_bits) = bits(found);
        // With no bits that count the shift is by the whole width, which leaves nothing to differ.
        let differs = (network ^ found)
            .checked_shr(network_bits - self.prefix_bits)
            .unwrap_or(0);
        network_bits == found_bits && differs == 0
    }
}

/// The address as a number, and its width.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), u32::BITS),
        IpAddr::V6(address) => (address.to_bits(), u128::BITS),
    }
}
