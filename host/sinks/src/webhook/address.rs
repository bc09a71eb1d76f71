//! Which addresses a message may go to: public ones, and networks that the configuration names.
//!
//! The check is made on the address that is connected to, after the name was resolved, so a name that answers differently the
//! second time changes nothing. An address in the URL is checked when the sink is made; the URL parser knows every notation of
//! it (`0x7f.1`, `2130706433`).
//!
//! Not public is everything that IANA's registries of special-purpose addresses do not call globally reachable, whatever
//! carries an IPv4 address inside of an IPv6 one, and multicast.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// IPv4 networks that are not public (IANA IPv4 Special-Purpose Address Registry; RFC 5771 for multicast).
const NOT_PUBLIC_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Of the platform itself, in Azure (Microsoft Learn, "What is IP address 168.63.129.16?").
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// All that is public in IPv6 is in here (RFC 4291: global unicast).
const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// And these parts of it are not (IANA IPv6 Special-Purpose Address Registry): protocol assignments with Teredo, documentation,
/// 6to4.
const NOT_PUBLIC_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Bits before the IPv4 address in an IPv6 address that maps one (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// Decides about addresses.
#[derive(Clone, Debug)]
pub(super) struct AddressGuard {
    allowed: Vec<IpNet>,
    /// What is not encrypted goes to networks that are allowed, and nowhere else.
    is_public_allowed: bool,
}

/// An address that nothing may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    host: String,
    address: IpAddr,
    is_public: bool,
}

impl std::error::Error for Forbidden {}

impl fmt::Display for Forbidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            address,
            is_public,
        } = self;
        let is = if host.trim_matches(['[', ']']) == address.to_string() {
            String::new()
        } else {
            format!("{host} is ")
        };
        if *is_public {
            write!(
                formatter,
                "{is}{address}, and http:// only goes to networks that `allow_networks` of this sink names: use https://"
            )
        } else {
            write!(
                formatter,
                "{is}{address}, which is no public address; if it may be sent to, name its network in `allow_networks` of \
                 this sink, such as [\"{address}/{}\"]",
                if address.is_ipv4() { 32 } else { 128 }
            )
        }
    }
}

impl AddressGuard {
    pub(super) fn new(allowed: &[IpNet], is_public_allowed: bool) -> Self {
        Self {
            allowed: allowed.iter().map(canonical).collect(),
            is_public_allowed,
        }
    }

    /// Checks the host of a URL, if it is an address.
    pub(super) fn check_host(&self, url: &Url) -> Result<(), Forbidden> {
        let host = url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => self.check(host, address),
            Err(_) => Ok(()),
        }
    }

    fn check(&self, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        // An IPv4 address in IPv6's clothes is connected to as the IPv4 address.
        let address = address.to_canonical();
        let is_public = is_public(address);
        let is_allowed = self.allowed.iter().any(|network| network.contains(&address));
        if is_allowed || (is_public && self.is_public_allowed) {
            return Ok(());
        }
        Err(Forbidden {
            host: host.to_owned(),
            address,
            is_public,
        })
    }
}

/// A network as the addresses in it are written: IPv4 in IPv6's clothes is IPv4.
fn canonical(network: &IpNet) -> IpNet {
    let bits = network.prefix_len().checked_sub(MAPPED_BITS);
    match (network.addr().to_canonical(), bits) {
        (address @ IpAddr::V4(_), Some(bits)) if matches!(network, IpNet::V6(_)) => {
            IpNet::new(address, bits).unwrap_or(*network)
        }
        _ => *network,
    }
}

fn is_public(address: IpAddr) -> bool {
    let is_in = |(network, bits): (IpAddr, u8)| {
        let network = IpNet::new(network, bits).expect("these are networks");
        network.contains(&address)
    };
    match address {
        IpAddr::V4(_) => !NOT_PUBLIC_V4
            .iter()
            .any(|(network, bits)| is_in(((*network).into(), *bits))),
        IpAddr::V6(_) => {
            let (network, bits) = PUBLIC_V6;
            is_in((network.into(), bits))
                && !NOT_PUBLIC_V6
                    .iter()
                    .any(|(network, bits)| is_in(((*network).into(), *bits)))
        }
    }
}

type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Resolves names.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Lookup>);

impl Resolver {
    /// As every program on this machine resolves them.
    pub(super) fn of_system() -> Self {
        Self(Arc::new(|name| {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        }))
    }

    /// Gives only addresses that may be sent to.
    pub(super) fn guarded_by(self, guard: AddressGuard) -> Arc<Guarded> {
        Arc::new(Guarded { resolver: self, guard })
    }
}

/// A resolver that keeps addresses to itself to which nothing may be sent.
pub(super) struct Guarded {
    resolver: Resolver,
    guard: AddressGuard,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let addresses = (self.resolver.0)(host.clone());
        let guard = self.guard.clone();
        Box::pin(async move {
            let mut forbidden = None;
            let mut allowed = Vec::new();
            for address in addresses.await? {
                match guard.check(&host, address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(error) => forbidden = Some(error),
                }
            }
            match forbidden {
                Some(forbidden) if allowed.is_empty() => Err(forbidden.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Webhook, WebhookSettings};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn settings(url: &str, allowed: &[&str]) -> WebhookSettings {
        WebhookSettings {
            url: url.to_owned(),
            secrets: vec!["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz".to_owned().into()],
            allow_networks: allowed.iter().map(|network| network.parse().unwrap()).collect(),
        }
    }

    fn refusal(url: &str, allowed: &[&str]) -> Option<String> {
        Webhook::new(settings(url, allowed))
            .err()
            .map(|error| error.to_string())
    }

    /// streams.md 37.
    #[test]
    fn an_address_that_is_not_public_is_refused_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "127.0.0.1.",
            "0.0.0.0",
            "0",
            "10.1.2.3",
            "100.64.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "%31%32%37.0.0.1",
            "①②⑦.0.0.1",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:10.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::a00:1]",
            "[64:ff9b:1::1]",
            "[100::1]",
            "[2001::1]",
            "[2001:db8::1]",
            "[2002:a00:1::1]",
            "[3fff::1]",
            "[5f00::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
        ] {
            let refusal = refusal(&format!("https://{host}/hook"), &[]);
            assert!(
                refusal.as_ref().is_some_and(|text| text.contains("no public address")),
                "{host}: {refusal:?}"
            );
        }
    }

    #[test]
    fn public_addresses_and_networks_that_are_named_are_fine() {
        for host in [
            "8.8.8.8",
            "100.63.255.255",
            "172.32.0.1",
            "198.20.0.1",
            "[2606:4700::1111]",
            "[2a00:1450::1]",
            "[::ffff:8.8.8.8]",
        ] {
            assert_eq!(refusal(&format!("https://{host}/"), &[]), None, "{host}");
        }
        assert_eq!(refusal("http://10.1.2.3/", &["10.0.0.0/8"]), None);
        assert_eq!(refusal("https://[::ffff:10.1.2.3]/", &["10.0.0.0/8"]), None);
        assert_eq!(refusal("https://[fd00::1]/", &["fd00::/8"]), None);
        assert_eq!(refusal("https://10.1.2.3/", &["::ffff:10.0.0.0/104"]), None);
        assert!(
            refusal("https://11.1.2.3/", &[]).is_none()
                && refusal("https://10.1.2.3/", &["::ffff:11.0.0.0/104"]).is_some()
        );
        assert!(refusal("https://11.0.0.1/", &["10.0.0.0/8"]).is_none());
        assert!(refusal("https://192.168.0.1/", &["10.0.0.0/8"]).is_some());
    }

    #[test]
    fn what_is_not_encrypted_goes_to_networks_that_are_named_and_nowhere_else() {
        let check = |url: &str, allowed: &[&str], said: &str| {
            let refusal = refusal(url, allowed).unwrap_or_default();
            assert!(refusal.contains(said), "{url}: {refusal}");
        };
        check("http://hooks.example.com/", &[], "begin with https://");
        check("http://8.8.8.8/", &["10.0.0.0/8"], "use https://");
        check("ftp://hooks.example.com/", &[], "begin with https://");
        check("https://user:word@hooks.example.com/", &[], "user or a password");
        check("hooks.example.com", &[], "begin with https://");
        let said = refusal("https://user:word@hooks.example.com/", &[]).unwrap_or_default();
        assert!(!said.contains("user:word"), "{said}");
    }

    /// A sink whose names are resolved to one address after the other.
    fn resolving(allowed: &[&str], answers: &'static [&'static str]) -> Webhook {
        let asked = AtomicUsize::new(0);
        let lookup = move |_| {
            let answer = answers[asked.fetch_add(1, Ordering::Relaxed) % answers.len()];
            let addresses: Vec<SocketAddr> = answer
                .split(' ')
                .map(|text| format!("{text}:0").parse().unwrap())
                .collect();
            Box::pin(async move { Ok(addresses) }) as BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        };
        // Nobody listens on this port: a connection that is tried is refused.
        let settings = settings("http://hooks.example.com:1/", allowed);
        Webhook::resolving(settings, Resolver(Arc::new(lookup))).unwrap()
    }

    fn delivery() -> weir_model::DeliveryId {
        weir_model::DeliveryId::derive(
            &weir_model::StreamArn::parse("arn:aws:dynamodb:eu-central-1:1:table/orders/stream/2026").unwrap(),
            &weir_model::ShardId::parse("shardId-1").unwrap(),
            &weir_model::SequenceNumber::parse("100").unwrap(),
            "orders",
            1,
            0,
            "hook",
        )
    }

    async fn reason(webhook: &Webhook) -> String {
        let message = crate::Message {
            delivery: delivery(),
            group: "g1".to_owned(),
            source: "weir.shop".to_owned(),
            detail_type: "orders.modify".to_owned(),
            time: jiff::Timestamp::UNIX_EPOCH,
            body: "{}".to_owned(),
        };
        match webhook.post(&message).await {
            Outcome::Unavailable { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// streams.md 37: "checked after name resolution".
    #[tokio::test]
    async fn a_name_is_checked_each_time_it_is_resolved() {
        let webhook = resolving(
            &["127.0.0.0/8"],
            &["127.0.0.1", "169.254.169.254", "10.0.0.1 127.0.0.1"],
        );
        assert!(reason(&webhook).await.contains("Connection refused"));
        let said = reason(&webhook).await;
        assert!(
            said.contains("hooks.example.com is 169.254.169.254, which is no public address"),
            "{said}"
        );
        // Of several, those that may be are tried.
        assert!(reason(&webhook).await.contains("Connection refused"));
    }

    #[tokio::test]
    async fn a_public_address_is_no_excuse_for_http() {
        let webhook = resolving(&["127.0.0.0/8"], &["8.8.8.8"]);
        assert!(reason(&webhook).await.contains("hooks.example.com is 8.8.8.8"));
    }
}
