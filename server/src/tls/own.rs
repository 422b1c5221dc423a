//! The certificates that a hub makes for itself: an authority, and the server's certificate by it. Their private keys lie
//! sealed under the hub's root key.
//!
//! Members may have their devices trust the authority, so it must be good for little else: its certificate is limited to
//! names of local networks and to those that this hub is reached by (RFC 5280 section 4.2.1.10).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use zeroize::Zeroizing;

use super::{TlsError, days_left, first_certificate};
use crate::keychain::Keychain;
use crate::private;

/// A server certificate lives so long, days: devices pin the key, so this only bounds a forgotten hub.
const SERVER_DAYS: u64 = 397;
/// The authority lives so long, days.
const AUTHORITY_DAYS: u64 = 20 * 365;
/// The server's certificate is made anew when it has fewer days left.
const RENEW_DAYS: u64 = 60;
const DAY_SECONDS: u64 = 24 * 60 * 60;
/// The files.
pub(super) const SERVER: &str = "server.pem";
pub(super) const SERVER_KEY: &str = "server.key";
pub(super) const AUTHORITY: &str = "authority.pem";
const AUTHORITY_KEY: &str = "authority.key";
/// What private keys are sealed for, with the name of their file.
const FAMILY: &str = "tls";
/// A key in the clear, from before sealing, begins so.
const PEM: &[u8] = b"-----BEGIN ";

/// Names that mean a machine of the same network: RFC 6761, 6762, 8375, ICANN's `internal`, and what routers use.
const LOCAL_NAMES: &[&str] =
    &["localhost", "local", "home.arpa", "internal", "lan", "home", "intranet", "corp", "localdomain"];
/// Addresses of a local network: RFC 1122, 1918, 3927, 4193, 4291, 6598.
const LOCAL_NETWORKS: &[(&str, u8)] = &[
    ("10.0.0.0", 8),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    ("127.0.0.0", 8),
    ("169.254.0.0", 16),
    ("100.64.0.0", 10),
    ("::1", 128),
    ("fc00::", 7),
    ("fe80::", 10),
];

/// Makes authority, key and certificate, as far as they are missing, too old or lack a name.
pub(super) fn make(folder: &Path, names: &[String], keychain: &Keychain) -> Result<(), TlsError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::File { path, error }
    };
    private::make_folder(folder).map_err(file(folder))?;
    let authority_key = key_pair(&folder.join(AUTHORITY_KEY), keychain)?;
    let authority_path = folder.join(AUTHORITY);
    if !authority_path.exists() || !may_vouch_for(&authority_path, names)? {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Lockstep local authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: permitted(names), excluded_subtrees: Vec::new() });
        set_days(&mut params, AUTHORITY_DAYS);
        let pem = params.self_signed(&authority_key)?.pem();
        private::write(&authority_path, pem.as_bytes()).map_err(file(&authority_path))?;
    }
    let key = key_pair(&folder.join(SERVER_KEY), keychain)?;
    let path = folder.join(SERVER);
    let is_good = path.exists()
        && days_left(&path)?.is_some_and(|days| days >= RENEW_DAYS)
        && names_of(&path)?.is_superset(&names.iter().cloned().collect());
    if is_good {
        return Ok(());
    }
    let authority = std::fs::read_to_string(&authority_path).map_err(file(&authority_path))?;
    let issuer = Issuer::from_ca_cert_pem(&authority, authority_key)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Lockstep hub");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_days(&mut params, SERVER_DAYS);
    let certificate = params.signed_by(&key, &issuer)?;
    private::write(&path, (certificate.pem() + &authority).as_bytes()).map_err(file(&path))
}

/// The key pair of a file of the hub's own; a new one if there is none.
fn key_pair(path: &Path, keychain: &Keychain) -> Result<KeyPair, TlsError> {
    if let Some(pem) = open_key(path, keychain)? {
        let pem = std::str::from_utf8(&pem).map_err(|_| unreadable(path))?;
        return Ok(KeyPair::from_pem(pem)?);
    }
    let key = KeyPair::generate()?;
    debug_assert!(!key.subject_public_key_info().is_empty());
    seal_key(path, Zeroizing::new(key.serialize_pem()).as_bytes(), keychain)?;
    Ok(key)
}

/// The PEM of a sealed private key; one in the clear, from before sealing, is sealed now. None if there is none.
pub(super) fn open_key(path: &Path, keychain: &Keychain) -> Result<Option<Zeroizing<Vec<u8>>>, TlsError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TlsError::File { path: path.to_owned(), error }),
    };
    if bytes.starts_with(PEM) {
        seal_key(path, &bytes, keychain)?;
        return Ok(Some(bytes));
    }
    keychain.open_beside(FAMILY, &name_of(path), &bytes).map(Some).ok_or_else(|| unreadable(path))
}

fn seal_key(path: &Path, pem: &[u8], keychain: &Keychain) -> Result<(), TlsError> {
    let sealed = keychain.seal_beside(FAMILY, &name_of(path), pem);
    private::write(path, &sealed).map_err(|error| TlsError::File { path: path.to_owned(), error })
}

/// A key is sealed for the name of its file.
fn name_of(path: &Path) -> Vec<u8> {
    path.file_name().unwrap_or_default().as_encoded_bytes().to_vec()
}

fn unreadable(path: &Path) -> TlsError {
    let what = "this private key is damaged, or another hub's. Put it back from a copy of the folder; without one, remove \
                the folder of certificates and pair every device again";
    TlsError::Unusable { path: path.to_owned(), what: what.into() }
}

fn set_days(params: &mut CertificateParams, days: u64) {
    let now = SystemTime::now();
    // A device's clock may be behind.
    params.not_before = (now - std::time::Duration::from_secs(DAY_SECONDS)).into();
    params.not_after = (now + std::time::Duration::from_secs(days * DAY_SECONDS)).into();
}

/// What an authority may vouch for: names and addresses of local networks, and these.
fn permitted(names: &[String]) -> Vec<GeneralSubtree> {
    let whole = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    let mut permitted: Vec<GeneralSubtree> =
        LOCAL_NAMES.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect();
    let networks = LOCAL_NETWORKS.iter().filter_map(|(address, prefix)| Some((address.parse().ok()?, *prefix)));
    let networks = networks.chain(names.iter().filter_map(|name| name.parse().ok().map(|ip| (ip, whole(ip)))));
    let subtree = |(address, prefix)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, prefix));
    permitted.extend(networks.map(subtree));
    let names = names.iter().filter(|name| name.parse::<IpAddr>().is_err());
    permitted.extend(names.map(|name| GeneralSubtree::DnsName(name.clone())));
    permitted
}

/// Whether an authority's certificate may vouch for all of these. One without limits, from before there were any, may.
fn may_vouch_for(path: &Path, names: &[String]) -> Result<bool, TlsError> {
    let certificate = first_certificate(path)?;
    let unusable = |what: String| TlsError::Unusable { path: path.to_owned(), what };
    let parsed = parsed(&certificate).map_err(unusable)?;
    let limits = parsed.name_constraints().map_err(|error| unusable(error.to_string()))?;
    let Some(permitted) = limits.and_then(|limits| limits.value.permitted_subtrees.as_ref()) else { return Ok(true) };
    let covers = |name: &String| permitted.iter().any(|subtree| is_below(name, &subtree.base));
    Ok(names.iter().all(covers))
}

/// Whether a name or address lies in a subtree.
fn is_below(name: &str, base: &GeneralName<'_>) -> bool {
    match (name.parse::<IpAddr>(), base) {
        (Ok(IpAddr::V4(address)), GeneralName::IPAddress(network)) => is_in(&address.octets(), network),
        (Ok(IpAddr::V6(address)), GeneralName::IPAddress(network)) => is_in(&address.octets(), network),
        (Err(_), GeneralName::DNSName(base)) => {
            let above = name.len().checked_sub(base.len()).map(|at| name.split_at_checked(at));
            matches!(above, Some(Some((before, end))) if end.eq_ignore_ascii_case(base)
                && (before.is_empty() || before.ends_with('.')))
        }
        _ => false,
    }
}

/// Whether an address lies in a network: address ‖ mask.
fn is_in(address: &[u8], network: &[u8]) -> bool {
    let (base, mask) = network.split_at(network.len() / 2);
    base.len() == address.len() && address.iter().zip(base).zip(mask).all(|((a, b), mask)| a & mask == b & mask)
}

fn parsed<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|error| format!("no certificate: {error}"))
}

/// The names and addresses of a server's certificate.
pub(super) fn names_of(path: &Path) -> Result<BTreeSet<String>, TlsError> {
    let certificate = first_certificate(path)?;
    let unusable = |what: String| TlsError::Unusable { path: path.to_owned(), what };
    let parsed = parsed(&certificate).map_err(unusable)?;
    let names = parsed.subject_alternative_name().map_err(|error| unusable(error.to_string()))?;
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    Ok(names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
                _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            },
            _ => None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{PrivateKeyDer, ServerName, UnixTime};
    use tokio_rustls::rustls::RootCertStore;
    use tokio_rustls::rustls::client::WebPkiServerVerifier;
    use tokio_rustls::rustls::client::danger::ServerCertVerifier;
    use tokio_rustls::rustls::crypto::ring;

    use super::*;
    use crate::config::TlsConfig;
    use crate::keychain::SealConfig;
    use crate::tls::Certificate;

    fn keychain(folder: &Path) -> Arc<Keychain> {
        let config = SealConfig { root_key: Some(folder.join("root.key")), ..SealConfig::default() };
        Arc::new(Keychain::open(folder, &config).unwrap())
    }

    fn open(folder: &Path, names: &[&str]) -> Result<Certificate, TlsError> {
        let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        Certificate::open(folder, &TlsConfig::default(), &names, keychain(folder))
    }

    /// A private key is sealed, under the root key and for its own file; one from before is taken, and sealed then.
    #[test]
    fn private_keys_are_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let tls = folder.path().join("tls");
        let made = open(folder.path(), &["localhost"]).unwrap();
        let pem = made.key_pem().unwrap();
        assert!(pem.starts_with(PEM));
        let is_sealed = |name: &str| {
            let bytes = std::fs::read(tls.join(name)).unwrap();
            let der = PrivateKeyDer::from_pem_slice(&pem).unwrap();
            let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            !holds(PEM) && !holds(&der.secret_der()[..16]) && PrivateKeyDer::from_pem_slice(&bytes).is_err()
        };
        assert!(is_sealed(SERVER_KEY) && is_sealed(AUTHORITY_KEY));

        // As a hub from before sealing has it.
        std::fs::write(tls.join(SERVER_KEY), &pem).unwrap();
        assert!(!is_sealed(SERVER_KEY));
        assert_eq!(open(folder.path(), &["localhost"]).unwrap().pinned(), made.pinned());
        assert!(is_sealed(SERVER_KEY));

        let sealed = std::fs::read(tls.join(SERVER_KEY)).unwrap();
        let moved = std::fs::read(tls.join(AUTHORITY_KEY)).unwrap();
        let spoilt = (0..sealed.len()).map(|at| {
            let mut spoilt = sealed.clone();
            spoilt[at] ^= 1 << (at % 8);
            spoilt
        });
        let cut = (0..sealed.len()).step_by(16).map(|end| sealed[..end].to_vec());
        for bytes in spoilt.chain(cut).chain([moved]) {
            std::fs::write(tls.join(SERVER_KEY), bytes).unwrap();
            let Err(error) = made.key_pem() else { panic!("a damaged key was opened") };
            assert!(error.to_string().contains("server.key: this private key is damaged"), "{error}");
        }
        assert!(open(folder.path(), &["localhost"]).is_err());
    }

    #[test]
    fn the_hubs_own_certificate_keeps_its_key_and_learns_new_names() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path(), &["localhost"]).unwrap();
        assert!(first.days_left().unwrap().is_some_and(|days| (SERVER_DAYS - 1..=SERVER_DAYS).contains(&days)));
        assert!(!first.refresh().unwrap(), "nothing to renew");
        let second = open(folder.path(), &["10.0.0.7", "hub.lan"]).unwrap();
        assert_eq!(first.pinned(), second.pinned());
        let found = names_of(&folder.path().join("tls/server.pem")).unwrap();
        assert!(found.contains("10.0.0.7") && found.contains("hub.lan"), "{found:?}");
        assert!(first.refresh().unwrap(), "a running hub takes what the files hold");
    }

    /// Whether a browser that trusts this authority takes a certificate for a name.
    fn trusts(authority: &Path, certificate: &CertificateDer<'_>, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(first_certificate(authority).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now()).is_ok()
    }

    /// Whoever has the authority's key can pass for this hub, and for nobody on the internet.
    #[test]
    fn the_authority_vouches_for_the_hub_and_its_network_alone() {
        let folder = tempfile::tempdir().unwrap();
        let tls = folder.path().join("tls");
        let authority = tls.join(AUTHORITY);
        let hub = ["hub", "hub.lan", "chat.example", "192.168.1.20", "203.0.113.9", "fd00::7"];
        open(folder.path(), &hub).unwrap();
        let certificate = first_certificate(&tls.join(SERVER)).unwrap();
        for name in hub {
            assert!(trusts(&authority, &certificate, name), "{name}");
        }
        assert!(!trusts(&authority, &certificate, "other.lan"), "not in the certificate");

        let issue = |name: &str| {
            let key = key_pair(&tls.join(AUTHORITY_KEY), &keychain(folder.path())).unwrap();
            let issuer = Issuer::from_ca_cert_pem(&std::fs::read_to_string(&authority).unwrap(), key).unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            set_days(&mut params, 1);
            params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
        };
        let rows = [
            ("printer.lan", true),
            ("10.1.2.3", true),
            ("www.chat.example", true),
            ("bank.example", false),
            ("xchat.example", false),
            ("203.0.113.10", false),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
        ];
        for (name, trusted) in rows {
            assert_eq!(trusts(&authority, &issue(name), name), trusted, "{name}");
            assert_eq!(may_vouch_for(&authority, &[name.to_owned()]).unwrap(), trusted, "{name}");
        }

        // A new name outside makes a new authority; one inside keeps it.
        let before = std::fs::read(&authority).unwrap();
        open(folder.path(), &["hub", "new.lan"]).unwrap();
        assert_eq!(std::fs::read(&authority).unwrap(), before);
        open(folder.path(), &["hub", "new.example"]).unwrap();
        assert_ne!(std::fs::read(&authority).unwrap(), before);
        assert!(trusts(&authority, &first_certificate(&tls.join(SERVER)).unwrap(), "new.example"));
    }
}
