//! A TLS client that trusts anyone: for tests that are not about trust.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

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
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A TLS connection.
///
/// # Panics
/// If there is none.
pub async fn tls(address: &str) -> TlsStream<TcpStream> {
    tls_over(TcpStream::connect(address).await.expect("TLS to a hub of this machine")).await
}

/// A TLS connection to a hub of this machine, from another of the machine's loopback addresses.
///
/// # Panics
/// If there is none.
pub async fn tls_from(source: Ipv4Addr, address: &str) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((source, 0))).expect("every address of 127/8 is this machine's");
    let address = address.parse().expect("an address of this machine");
    tls_over(socket.connect(address).await.expect("TLS to a hub of this machine")).await
}

async fn tls_over(tcp: TcpStream) -> TlsStream<TcpStream> {
    tcp.set_nodelay(true).expect("a connected socket");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS to a hub of this machine")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("TLS to a hub of this machine");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS to a hub of this machine")
}

/// What the hub answers to a request, all of it: the request asks for the connection's end.
///
/// # Panics
/// If it does not answer.
pub async fn request(address: &str, request: &str) -> Vec<u8> {
    let mut tls = tls(address).await;
    tls.write_all(request.as_bytes()).await.expect("the hub reads");
    let mut answer = Vec::new();
    tls.read_to_end(&mut answer).await.expect("the hub answers");
    answer
}

/// The head of the hub's answer to a request.
///
/// # Panics
/// If it does not answer.
pub async fn head(address: &str, request: &str) -> String {
    let mut tls = tls(address).await;
    tls.write_all(request.as_bytes()).await.expect("the hub reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tls.read_u8().await.expect("the hub answers"));
    }
    String::from_utf8(head).expect("a head is text")
}

/// What the hub answers to a GET, head and body.
///
/// # Panics
/// If it does not answer.
pub async fn get(address: &str, page: &str) -> String {
    let answer = request(address, &format!("GET {page} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")).await;
    String::from_utf8(answer).expect("the page is text")
}

/// What the hub says on `/metrics`, those without labels, by name.
///
/// # Panics
/// If it does not answer.
pub async fn metrics(address: &str) -> BTreeMap<String, f64> {
    let text = get(address, "/metrics").await;
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?))).collect()
}
