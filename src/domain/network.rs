//! Who an address stands for.

use std::net::{IpAddr, Ipv6Addr};

/// What one customer has of the internet, and so what stands for one caller: an address of IPv4, or a network of IPv6,
/// as one machine has all addresses of that.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}
