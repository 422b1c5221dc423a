//! The hub's certificate: a local authority and a server certificate on first start, or the operator's own files.
//!
//! Devices pin the SHA-256 of the server's public key, so renewal keeps the key. The certificate is read again while
//! the hub runs: every new connection gets the newest. Private keys that the hub has made lie sealed under its root key
//! (`lockstep certificate key` opens one, for a proxy); the operator's own files stay as they are.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use bytes::Bytes;
use lockstep_protocol::id::PinnedKeyHash;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig, crypto::ring};
use zeroize::Zeroizing;

use crate::config::TlsConfig;
use crate::keychain::Keychain;
use crate::private;

/// A server certificate lives so long, days: devices pin the key, so this only bounds a forgotten hub.
const SERVER_DAYS: u64 = 397;
/// The certificate of the hub's own authority.
const AUTHORITY_FILE: &str = "authority.pem";
/// The authority lives so long, days.
const AUTHORITY_DAYS: u64 = 20 * 365;
/// The hub's own certificate is made anew when it has fewer days left.
const RENEW_DAYS: u64 = 60;
const DAY_SECONDS: u64 = 24 * 60 * 60;
/// The files, in the folder of the hub's own.
const SERVER: &str = "server.pem";
const SERVER_KEY: &str = "server.key";
const AUTHORITY_KEY: &str = "authority.key";
/// What private keys are sealed for, with the name of their file.
const FAMILY: &str = "tls";
/// A key in the clear, from before sealing, begins so.
const PEM: &[u8] = b"-----BEGIN ";

/// Why there is no certificate to serve with.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Certificate and key are not a pair, or of a kind that TLS does not take.
    #[error("certificate and key do not work together: {0}")]
    Mismatch(rustls::Error),
    /// Making a certificate failed.
    #[error("a certificate could not be made: {0}")]
    Making(#[from] rcgen::Error),
}

/// The certificate in use, replaceable while the hub runs.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    names: Vec<String>,
    current: RwLock<Arc<CertifiedKey>>,
    pinned: PinnedKeyHash,
}

#[derive(Debug)]
enum Files {
    /// The hub's own, in this folder, keys sealed.
    Made { folder: PathBuf, keychain: Arc<Keychain> },
    /// The operator's.
    Given { certificate: PathBuf, key: PathBuf },
}

impl Files {
    fn certificate(&self) -> PathBuf {
        match self {
            Self::Made { folder, .. } => folder.join(SERVER),
            Self::Given { certificate, .. } => certificate.clone(),
        }
    }

    fn key(&self) -> PathBuf {
        match self {
            Self::Made { folder, .. } => folder.join(SERVER_KEY),
            Self::Given { key, .. } => key.clone(),
        }
    }

    /// The private key's PEM.
    fn key_pem(&self) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        let path = self.key();
        let read = match self {
            Self::Made { keychain, .. } => return open_key(&path, keychain)?.ok_or_else(|| missing(&path)),
            Self::Given { .. } => std::fs::read(&path),
        };
        read.map(Zeroizing::new).map_err(|error| TlsError::File { path, error })
    }
}

impl Certificate {
    /// Reads the operator's files, or the hub's own in `folder`/tls, which are made on first start and whenever they
    /// lack one of `names` or are about to expire.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn open(
        folder: &Path,
        config: &TlsConfig,
        names: &[String],
        keychain: Arc<Keychain>,
    ) -> Result<Self, TlsError> {
        let files = match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => Files::Given { certificate: certificate.clone(), key: key.clone() },
            _ => Files::Made { folder: folder.join("tls"), keychain },
        };
        if let Files::Made { folder, keychain } = &files {
            make(folder, names, keychain)?;
        }
        let (certified, pinned) = read(&files)?;
        Ok(Self { files, names: names.to_vec(), current: RwLock::new(Arc::new(certified)), pinned })
    }

    /// What devices pin: the SHA-256 of the public key's SubjectPublicKeyInfo.
    #[must_use]
    pub const fn pinned(&self) -> PinnedKeyHash {
        self.pinned
    }

    /// The certificate of the hub's own authority, DER: what a browser's owner may choose to trust.
    ///
    /// # Errors
    /// `Unusable`.
    pub fn authority(&self) -> Result<Option<Bytes>, TlsError> {
        let Files::Made { folder, .. } = &self.files else { return Ok(None) };
        let path = folder.join(AUTHORITY_FILE);
        match CertificateDer::from_pem_file(&path) {
            Ok(certificate) => Ok(Some(Bytes::copy_from_slice(&certificate))),
            Err(error) => Err(TlsError::Unusable { path, what: format!("no PEM certificate: {error}") }),
        }
    }

    /// SHA-256 of that certificate, in pairs of digits, as browsers show it.
    ///
    /// # Errors
    /// `Unusable`.
    pub fn authority_fingerprint(&self) -> Result<Option<String>, TlsError> {
        let pairs = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        Ok(self.authority()?.map(|certificate| pairs(&Sha256::digest(&certificate))))
    }

    /// Days until it expires; none if it has.
    ///
    /// # Errors
    /// `File`, `Unusable`.
    pub fn days_left(&self) -> Result<Option<u64>, TlsError> {
        days_left(&self.files.certificate())
    }

    /// Renews the hub's own certificate if it is about to expire, and takes what the files hold now. Whether anything
    /// changed.
    ///
    /// # Errors
    /// As [`Certificate::open`]; also if the key is another one, which every device would refuse: that needs a restart,
    /// knowingly. The old certificate stays in use.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        if let Files::Made { folder, keychain } = &self.files {
            make(folder, &self.names, keychain)?;
        }
        let (certified, pinned) = read(&self.files)?;
        if pinned != self.pinned {
            let what = "holds another key than the one that devices have pinned; put the old key back, or restart the \
                        hub and pair every device again";
            return Err(TlsError::Unusable { path: self.files.key(), what: what.into() });
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.cert != certified.cert;
        *current = Arc::new(certified);
        Ok(changed)
    }

    /// The private key as PEM, for a proxy that speaks TLS in the hub's place.
    ///
    /// # Errors
    /// `File`, `Unusable`.
    pub fn key_pem(&self) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        self.files.key_pem()
    }

    /// TLS as the hub speaks it: 1.2 and 1.3, no tickets and no resumption (a device is looked up on every accept).
    ///
    /// # Errors
    /// `Mismatch` if the library refuses its own defaults.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Mismatch)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(self))));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

#[derive(Debug)]
struct Resolver(Arc<Certificate>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(files: &Files) -> Result<(CertifiedKey, PinnedKeyHash), TlsError> {
    let path = files.certificate();
    let unusable = |path: &Path, what: String| TlsError::Unusable { path: path.to_owned(), what };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
    let chain = chain.map_err(|error| unusable(&path, format!("no PEM certificates: {error}")))?;
    let first = chain.first().ok_or_else(|| unusable(&path, "no certificate in it".into()))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(first)
        .map_err(|error| unusable(&path, format!("no X.509 certificate: {error}")))?;
    let pinned = PinnedKeyHash(Sha256::digest(parsed.tbs_certificate.subject_pki.raw).into());
    let path = files.key();
    let key = PrivateKeyDer::from_pem_slice(&files.key_pem()?);
    let key = key.map_err(|error| unusable(&path, format!("no PEM key: {error}")))?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(TlsError::Mismatch)?;
    Ok((certified, pinned))
}

/// Makes authority, key and certificate, as far as they are missing, too old or lack a name.
fn make(folder: &Path, names: &[String], keychain: &Keychain) -> Result<(), TlsError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::File { path, error }
    };
    private::make_folder(folder).map_err(file(folder))?;
    let authority_key = key_pair(&folder.join(AUTHORITY_KEY), keychain)?;
    let authority_path = folder.join(AUTHORITY_FILE);
    if !authority_path.exists() {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Lockstep local authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
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
fn open_key(path: &Path, keychain: &Keychain) -> Result<Option<Zeroizing<Vec<u8>>>, TlsError> {
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

fn missing(path: &Path) -> TlsError {
    TlsError::File { path: path.to_owned(), error: std::io::ErrorKind::NotFound.into() }
}

fn set_days(params: &mut CertificateParams, days: u64) {
    let now = SystemTime::now();
    // A device's clock may be behind.
    params.not_before = (now - std::time::Duration::from_secs(DAY_SECONDS)).into();
    params.not_after = (now + std::time::Duration::from_secs(days * DAY_SECONDS)).into();
}

fn first_certificate(path: &Path) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_file(path)
        .map_err(|error| TlsError::Unusable { path: path.to_owned(), what: format!("no PEM certificate: {error}") })
}

fn days_left(path: &Path) -> Result<Option<u64>, TlsError> {
    let certificate = first_certificate(path)?;
    let parsed = x509_parser::parse_x509_certificate(&certificate);
    let (_, parsed) = parsed
        .map_err(|error| TlsError::Unusable { path: path.to_owned(), what: format!("no certificate: {error}") })?;
    let left = parsed.validity().time_to_expiration();
    Ok(left.and_then(|left| u64::try_from(left.whole_days()).ok()))
}

fn names_of(path: &Path) -> Result<std::collections::BTreeSet<String>, TlsError> {
    use x509_parser::extensions::GeneralName;
    let certificate = first_certificate(path)?;
    let unusable = |what: String| TlsError::Unusable { path: path.to_owned(), what };
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
        .map_err(|error| unusable(format!("no certificate: {error}")))?;
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
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::client::{Resumption, Tls12Resumption};
    use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme};
    use rustls_pki_types::{ServerName, UnixTime};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::keychain::SealConfig;

    fn open(folder: &Path, names: &[&str]) -> Result<Certificate, TlsError> {
        let config = SealConfig { root_key: Some(folder.join("root.key")), ..SealConfig::default() };
        let keychain = Arc::new(Keychain::open(folder, &config).unwrap());
        let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        Certificate::open(folder, &TlsConfig::default(), &names, keychain)
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

    #[derive(Debug)]
    struct Anyone;

    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            ring::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }

    /// A peer that would gladly resume a session is given nothing to resume, and starts anew each time: who it is is
    /// looked up on every accept.
    #[tokio::test]
    async fn no_session_is_ever_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = open(folder.path(), &["localhost"]).unwrap();
        let acceptor = Arc::new(certificate).acceptor().unwrap();
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone))
                .with_no_client_auth();
            config.resumption = Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOrTickets);
            let connector = TlsConnector::from(Arc::new(config));
            for attempt in 0..3 {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                let name = ServerName::try_from("localhost").unwrap();
                let (client, server) = tokio::join!(connector.connect(name, ours), acceptor.accept(theirs));
                let (mut client, mut server) = (client.unwrap(), server.unwrap());
                // Whatever comes after the handshake has come before this byte.
                server.write_all(b"!").await.unwrap();
                server.flush().await.unwrap();
                assert_eq!(client.read_u8().await.unwrap(), b'!');
                let (_, session) = client.get_ref();
                let kind = session.handshake_kind();
                assert_eq!(kind, Some(HandshakeKind::Full), "{version:?}, attempt {attempt}");
                assert_eq!(session.tls13_tickets_received(), 0, "{version:?}");
            }
        }
    }

    #[test]
    fn another_key_is_refused_while_running() {
        let folder = tempfile::tempdir().unwrap();
        let made = open(folder.path(), &["localhost"]).unwrap();
        let other = tempfile::tempdir().unwrap();
        let others = open(other.path(), &["localhost"]).unwrap();
        let tls = folder.path().join("tls");
        std::fs::copy(other.path().join("tls").join(SERVER), tls.join(SERVER)).unwrap();
        std::fs::copy(other.path().join("tls").join(SERVER_KEY), tls.join(SERVER_KEY)).unwrap();
        assert!(matches!(made.refresh(), Err(TlsError::Unusable { .. })), "sealed by another hub");
        std::fs::write(tls.join(SERVER_KEY), others.key_pem().unwrap()).unwrap();
        assert!(matches!(made.refresh(), Err(TlsError::Unusable { .. })));
        std::fs::write(folder.path().join("tls/server.pem"), "nonsense").unwrap();
        assert!(matches!(made.refresh(), Err(TlsError::Unusable { .. })));
    }
}
