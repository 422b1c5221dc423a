//! The pairing link: what a QR code holds, so that a new device finds, recognises and enters its hub.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use crate::id::{InviteCode, PinnedKeyHash};

/// The path of the WebSocket on the hub's port.
pub const SYNC_PATH: &str = "/v1/sync";

/// The path of a page that says the hub's `pinned`, 64 hex digits: for a browser in which only the code was typed.
pub const PINNED_PATH: &str = "/v1/pinned";

/// The hub's port unless it is configured otherwise.
pub const DEFAULT_PORT: u16 = 7443;

/// Longest host name, bytes (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

const SCHEME: &str = "lockstep://";
/// Of a link that a browser opens, with what stands between its address and PIN. Nothing behind `#` is sent to anybody.
const PAGE_SCHEME: &str = "https://";
const PAGE_PATH: &str = "/#/pair/";
/// The port of an address of the web that names none.
const PAGE_PORT: u16 = 443;

/// `lockstep://HOST:PORT/PIN/CODE`, or `https://HOST:PORT/#/pair/PIN/CODE`: PIN and CODE in lower-case hex, an IPv6
/// address in brackets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Name or address of the hub, IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// SHA-256 of its certificate's public key (the DER of SubjectPublicKeyInfo, RFC 7469): the device trusts this
    /// and nothing else.
    pub pinned: PinnedKeyHash,
    /// The one-time code.
    pub code: InviteCode,
}

/// Why a text is no pairing link. Never carries the text: it holds a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum LinkError {
    /// It does not begin as one.
    #[error("a pairing link begins with {SCHEME} or {PAGE_SCHEME}")]
    Scheme,
    /// No host and port.
    #[error("the pairing link has no valid HOST:PORT")]
    Address,
    /// The fingerprint is not 64 hex digits.
    #[error("the pairing link's fingerprint is not 64 hex digits; copy the whole link")]
    Fingerprint,
    /// The code is not 32 hex digits.
    #[error("the pairing link's code is not 32 hex digits; copy the whole link")]
    Code,
}

impl Link {
    /// The same link as an address of the web, which a phone's camera opens in its browser: what QR codes hold.
    #[must_use]
    pub fn page(&self) -> String {
        let Self { port, pinned, code, .. } = self;
        format!("{PAGE_SCHEME}{}:{port}{PAGE_PATH}{pinned}/{code}", Host(&self.host))
    }
}

/// A host as it stands in an address.
struct Host<'a>(&'a str);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}/{}/{}", Host(&self.host), self.port, self.pinned, self.code)
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        let (address, rest) = match (text.strip_prefix(SCHEME), text.strip_prefix(PAGE_SCHEME)) {
            (Some(link), _) => link.split_once('/').unwrap_or((link, "")),
            (None, Some(page)) => page.split_once(PAGE_PATH).ok_or(LinkError::Scheme)?,
            (None, None) => return Err(LinkError::Scheme),
        };
        let mut parts = rest.split('/');
        let names_port = address.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let (host, port) = match names_port {
            Some((host, port)) => (host, port.parse().ok()),
            None if text.starts_with(PAGE_SCHEME) => (address, Some(PAGE_PORT)),
            None => return Err(LinkError::Address),
        };
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']').filter(|host| host.parse::<core::net::Ipv6Addr>().is_ok()),
            None => Some(host).filter(|host| is_name(host)),
        };
        let host = host.ok_or(LinkError::Address)?.to_owned();
        let port = port.filter(|port| *port != 0).ok_or(LinkError::Address)?;
        let pinned = PinnedKeyHash(parts.next().and_then(from_hex).ok_or(LinkError::Fingerprint)?);
        let code = InviteCode(parts.next().and_then(from_hex).ok_or(LinkError::Code)?);
        if parts.next().is_some() {
            return Err(LinkError::Code);
        }
        Ok(Self { host, port, pinned, code })
    }
}

fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label)
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const CODE: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn links_read_as_they_are_written() {
        for (host, shown) in [("hub.lan", "hub.lan"), ("192.168.1.20", "192.168.1.20"), ("fe80::1", "[fe80::1]")] {
            let text = format!("lockstep://{shown}:7443/{PIN}/{CODE}");
            let link: Link = text.parse().unwrap();
            assert_eq!((link.host.as_str(), link.port), (host, 7443));
            assert_eq!(link.to_string(), text);
            let page = format!("https://{shown}:7443/#/pair/{PIN}/{CODE}");
            assert_eq!((link.page(), page.parse()), (page, Ok(link)));
        }
        for (shown, host) in [("hub.lan", "hub.lan"), ("[fe80::1]", "fe80::1")] {
            let link: Link = format!("https://{shown}/#/pair/{PIN}/{CODE}").parse().unwrap();
            assert_eq!((link.host.as_str(), link.port), (host, 443));
        }
    }

    #[test]
    fn bad_links_say_what_is_wrong() {
        for (text, error) in [
            (String::new(), LinkError::Scheme),
            (format!("https://hub:1/{PIN}/{CODE}"), LinkError::Scheme),
            (format!("http://hub:1/#/pair/{PIN}/{CODE}"), LinkError::Scheme),
            (format!("https:///#/pair/{PIN}/{CODE}"), LinkError::Address),
            (format!("https://hub:1/#/pair/{PIN}"), LinkError::Code),
            (format!("lockstep://hub/{PIN}/{CODE}"), LinkError::Address),
            (format!("lockstep://hub:0/{PIN}/{CODE}"), LinkError::Address),
            (format!("lockstep://hub:70000/{PIN}/{CODE}"), LinkError::Address),
            (format!("lockstep://hu b:1/{PIN}/{CODE}"), LinkError::Address),
            (format!("lockstep://fe80::1:1/{PIN}/{CODE}"), LinkError::Address),
            (format!("lockstep://hub:1/{}/{CODE}", &PIN[1..]), LinkError::Fingerprint),
            (format!("lockstep://hub:1/{PIN}"), LinkError::Code),
            (format!("lockstep://hub:1/{PIN}/{CODE}0"), LinkError::Code),
            (format!("lockstep://hub:1/{PIN}/{CODE}/x"), LinkError::Code),
            (format!("lockstep://hub:1/{PIN}/+{}", &CODE[1..]), LinkError::Code),
        ] {
            assert_eq!(text.parse::<Link>(), Err(error), "{text}");
        }
    }
}
