//! Which addresses are one client.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How much of an address makes a client, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct Prefixes {
    /// Of an IPv4 address. Default 32.
    pub ipv4_bits: u8,
    /// Of an IPv6 address. Default 64, what one subscriber gets (RFC 6177).
    pub ipv6_bits: u8,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self { ipv4_bits: 32, ipv6_bits: 64 }
    }
}

impl Prefixes {
    /// What is wrong with the numbers, each as the key's name and a message.
    pub fn problems(self) -> Vec<(&'static str, String)> {
        [("ipv4_bits", self.ipv4_bits, 32), ("ipv6_bits", self.ipv6_bits, 128)]
            .into_iter()
            .filter(|(_, bits, most)| bits > most)
            .map(|(key, bits, most)| (key, format!("{bits} is longer than an address; allowed: 0 to {most}")))
            .collect()
    }

    /// The network that stands for an address; an IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn network(self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(self.ipv4_bits.into())).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.ipv6_bits.into())).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_as_long_as_the_config_says() {
        let network = |ipv4_bits, ipv6_bits, address: &str| {
            Prefixes { ipv4_bits, ipv6_bits }.network(address.parse().unwrap()).to_string()
        };
        for (bits, expected) in [(0, "0.0.0.0"), (24, "192.0.2.0"), (32, "192.0.2.129"), (200, "192.0.2.129")]
        {
            assert_eq!(network(bits, 64, "192.0.2.129"), expected);
        }
        for (bits, expected) in [(0, "::"), (48, "2001:db8:1::"), (128, "2001:db8:1:2::1")] {
            assert_eq!(network(32, bits, "2001:db8:1:2::1"), expected);
        }
        assert_eq!(Prefixes { ipv4_bits: 33, ipv6_bits: 129 }.problems().len(), 2);
    }
}
