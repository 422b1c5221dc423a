//! The floors of `fanout`: one connection writes records, all others get each as a WebSocket frame over TLS.
//!
//! `ready`: the frame is made once and written to one socket after another by one loop. `naive`: what one writes first
//! with tokio and tungstenite, a task a connection, a broadcast channel, a copy and a flush for each message.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use futures_util::SinkExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use super::relay::HEADER_BYTES;

#[derive(Args)]
pub(crate) struct Fanout {
    /// How
    #[arg(long, value_enum)]
    kind: Kind,
    /// Connections to wait for besides the writer, which comes first and without TLS
    #[arg(long)]
    devices: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// A ready frame to each socket.
    Ready,
    /// A broadcast channel and a task a connection.
    Naive,
}

/// Prints its address, takes the connections, and sends until the writer closes.
pub(crate) fn run(fanout: &Fanout) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(fanout))
}

async fn serve(fanout: &Fanout) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    println!("{}", listener.local_addr()?);
    let acceptor = acceptor()?;
    let (mut writer, _) = listener.accept().await?;
    let mut devices = Vec::new();
    for _ in 0..fanout.devices {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        devices.push(acceptor.accept(tcp).await?);
    }
    match fanout.kind {
        Kind::Ready => ready(&mut writer, devices).await,
        Kind::Naive => naive(&mut writer, devices).await,
    }
}

async fn ready(writer: &mut TcpStream, mut devices: Vec<TlsStream<TcpStream>>) -> anyhow::Result<()> {
    while let Some(record) = next(writer).await {
        let frame = framed(&record);
        for device in &mut devices {
            device.write_all(&frame).await?;
            device.flush().await?;
        }
    }
    Ok(())
}

async fn naive(writer: &mut TcpStream, devices: Vec<TlsStream<TcpStream>>) -> anyhow::Result<()> {
    let (sender, _) = broadcast::channel::<Vec<u8>>(65_536);
    let mut tasks = tokio::task::JoinSet::new();
    for device in devices {
        let mut records = sender.subscribe();
        tasks.spawn(async move {
            let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
            let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(device, role, None).await;
            while let Ok(record) = records.recv().await {
                if socket.send(Message::binary(record)).await.is_err() {
                    return;
                }
            }
        });
    }
    while let Some(record) = next(writer).await {
        drop(sender.send(record));
    }
    drop(sender);
    tasks.join_all().await;
    Ok(())
}

async fn next(writer: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; HEADER_BYTES];
    writer.read_exact(&mut header).await.ok()?;
    let mut record = vec![0; u32::from_le_bytes(header) as usize];
    writer.read_exact(&mut record).await.ok()?;
    Some(record)
}

/// A final, binary, unmasked frame of less than 64 KiB. RFC 6455 section 5.2.
fn framed(record: &[u8]) -> Vec<u8> {
    let len = u16::try_from(record.len()).expect("records of benches are short");
    let mut frame = vec![0x82];
    if len < 126 {
        frame.push(len as u8);
    } else {
        frame.push(126);
        frame.extend_from_slice(&len.to_be_bytes());
    }
    frame.extend_from_slice(record);
    frame
}

fn acceptor() -> anyhow::Result<TlsAcceptor> {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
