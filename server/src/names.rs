//! The names and addresses under which devices may reach this machine.

use std::net::{IpAddr, SocketAddr};

/// What the operator named, or what the machine knows of itself: addresses of its network first (a phone rarely
/// resolves a host name of the LAN), then its name, then itself.
#[must_use]
pub(crate) fn reachable(named: &[String], address: SocketAddr) -> Vec<String> {
    if !named.is_empty() {
        return named.to_vec();
    }
    let mut names = Vec::new();
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    } else {
        // Without a list of interfaces the machine still has a name.
        let mut interfaces: Vec<IpAddr> =
            if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect();
        interfaces.retain(|ip| !ip.is_loopback() && !is_link_local(ip));
        interfaces.sort_by_key(|ip| (ip.is_ipv6(), *ip));
        names.extend(interfaces.iter().map(IpAddr::to_string));
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if !host.is_empty() {
            names.push(host);
        }
    }
    for own in ["localhost", "127.0.0.1"] {
        if !names.iter().any(|name| name == own) {
            names.push(own.into());
        }
    }
    names
}

const fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_wins_and_a_machine_always_has_a_name() {
        let any = SocketAddr::from(([0, 0, 0, 0], 1));
        assert_eq!(reachable(&["hub.lan".into()], any), ["hub.lan"]);
        assert!(reachable(&[], any).contains(&"localhost".to_owned()));
        assert_eq!(reachable(&[], SocketAddr::from(([127, 0, 0, 1], 1))), ["127.0.0.1", "localhost"]);
        assert_eq!(reachable(&[], SocketAddr::from(([10, 0, 0, 5], 1)))[0], "10.0.0.5");
    }
}
