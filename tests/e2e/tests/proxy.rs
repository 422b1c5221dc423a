//! A hub behind a proxy of its own machine, which speaks TLS in its place with the hub's certificate and key.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use lockstep_client::Device;
use lockstep_e2e::{Hub, Team, raw, within};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Takes connections with TLS, hands on what they say without; answers its address. `key` is what the hub gave for it.
async fn proxy(tls: &Path, key: &str, to: String) -> SocketAddr {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(tls.join("server.pem")).unwrap().collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key)
        .unwrap();
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), tokio::net::TcpListener::bind("127.0.0.1:0").await);
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                let (mut inside, mut outside) = (TcpStream::connect(to).await?, acceptor.accept(tcp).await?);
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_syncs_through_a_proxy_and_pins_the_hubs_own_key() {
    let mut team = Team::new();
    let folder = team.hub.folder().to_owned();
    let plain = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    team.hub.kill();
    team.hub = Hub::start_with(&folder, &[&format!("listen.plain={plain}")]);
    let key = team.hub.json(&["certificate", "key"]);
    let address = proxy(&folder.join("tls"), key["key"].as_str().unwrap(), plain).await;
    let link = lockstep_protocol::link::Link { port: address.port(), ..team.link(1) };
    let device = within("enrolment", Device::enrol(team.home(), &link, "behind a proxy")).await.unwrap();
    within("the first catch-up", device.synced()).await.unwrap();
    let address = address.to_string();
    assert!(within("a page", raw::get(&address, "/healthz")).await.starts_with("HTTP/1.1 200"));
    // Whoever comes through the proxy seems to be of this machine, and is not.
    assert!(within("a page", raw::get(&address, "/metrics")).await.starts_with("HTTP/1.1 403"));
}
