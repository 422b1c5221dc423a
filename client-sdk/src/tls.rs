//! TLS to the hub: the pinned certificate key is trusted, and nothing else.

use std::sync::{Arc, Mutex, PoisonError};

use lockstep_protocol::id::PinnedKeyHash;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, WebPkiSupportedAlgorithms};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Accepts exactly the certificates whose key has the pinned hash, whatever their names, issuer and dates say: the
/// link that paired this device named the key. Handshake signatures are checked as ever.
#[derive(Debug)]
pub(crate) struct PinnedKey {
    pinned: PinnedKeyHash,
    algorithms: WebPkiSupportedAlgorithms,
    /// The key of the newest certificate that was refused.
    refused: Mutex<Option<PinnedKeyHash>>,
}

/// A TLS configuration and its verifier, for one connection.
pub(crate) struct PinnedTls {
    pub(crate) config: Arc<ClientConfig>,
    verifier: Arc<PinnedKey>,
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469, section 2.4); none for bytes that are no certificate.
#[must_use]
pub(crate) fn key_hash(certificate: &[u8]) -> Option<PinnedKeyHash> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(PinnedKeyHash(Sha256::digest(parsed.tbs_certificate.subject_pki.raw).into()))
}

impl PinnedTls {
    /// For one hub.
    pub(crate) fn new(pinned: PinnedKeyHash) -> Self {
        let provider = Arc::new(crypto::ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Arc::new(PinnedKey { pinned, algorithms, refused: Mutex::new(None) });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("the provider has suites of both versions")
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        // The hub looks the device up at every connection; a ticket would only be something to steal.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { config: Arc::new(config), verifier }
    }

    /// The key that the peer showed instead of the pinned one, if that is why the handshake failed.
    pub(crate) fn take_refused(&self) -> Option<PinnedKeyHash> {
        self.verifier.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = key_hash(end_entity).ok_or(rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if found == self.pinned {
            return Ok(ServerCertVerified::assertion());
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData, date_time_ymd};
    use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
    use tokio_rustls::rustls::sign::CertifiedKey;
    use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    #[derive(Debug)]
    struct Shows(Arc<CertifiedKey>);

    impl ResolvesServerCert for Shows {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(self.0.clone())
        }
    }

    fn pin(key: &KeyPair) -> PinnedKeyHash {
        PinnedKeyHash(Sha256::digest(key.subject_public_key_info()).into())
    }

    /// A server that shows a certificate for one key and signs with another.
    fn server(
        shown: &KeyPair,
        params: CertificateParams,
        signs: &KeyPair,
        version: &'static SupportedProtocolVersion,
    ) -> TlsAcceptor {
        let provider = crypto::ring::default_provider();
        let certificate = params.self_signed(shown).expect("a certificate");
        let key = signs.serialize_der().try_into().expect("a key");
        let key = provider.key_provider.load_private_key(key).expect("a key");
        let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shows(Arc::new(certified))));
        TlsAcceptor::from(Arc::new(config))
    }

    /// Whether the handshake succeeds, and the key that was refused.
    fn shake(tls: &PinnedTls, server: TlsAcceptor) -> (bool, Option<PinnedKeyHash>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (here, there) = tokio::io::duplex(64 * 1024);
        let name = ServerName::try_from("hub.lan").expect("a name");
        let outcome = runtime.block_on(async {
            let connector = TlsConnector::from(tls.config.clone());
            tokio::join!(connector.connect(name, here), server.accept(there)).0.is_ok()
        });
        (outcome, tls.take_refused())
    }

    #[test]
    fn the_pinned_key_and_nothing_else() {
        let (ours, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let plain = || CertificateParams::new(vec!["hub.lan".to_owned()]).expect("a name");
        let mut expired = plain();
        expired.not_after = date_time_ymd(2001, 1, 1);
        let elsewhere = CertificateParams::new(vec!["another.name".to_owned()]).expect("a name");
        let rows = [
            ("our hub", plain(), &ours, &ours, (true, None)),
            ("our hub after its certificate ran out", expired, &ours, &ours, (true, None)),
            ("our hub under another name", elsewhere, &ours, &ours, (true, None)),
            ("another hub", plain(), &other, &other, (false, Some(pin(&other)))),
            ("a thief of our hub's certificate", plain(), &ours, &other, (false, None)),
        ];
        for (who, params, shown, signs, expected) in rows {
            for version in [&TLS12, &TLS13] {
                let tls = PinnedTls::new(pin(&ours));
                assert_eq!(shake(&tls, server(shown, params.clone(), signs, version)), expected, "{who}, {version:?}");
            }
        }
    }
}
