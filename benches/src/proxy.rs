//! A slow line: what goes through arrives later, and no faster than the line is.
//!
//! It delays each byte, and the TCP handshake, which it answers itself at once: the first bytes of a connection wait the
//! round trip that the handshake would have taken. It loses nothing, and knows no slow start.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// What a line is like, in each direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) delay: Duration,
    pub(crate) bits_per_second: f64,
}

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Bytes may be read this long before the line has room for them: timers count milliseconds.
const AHEAD: Duration = Duration::from_millis(3);

/// A running proxy. Dropped, it takes nothing new; what it holds goes on.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts one in front of a server.
    pub(crate) async fn start(server: &str, line: Line) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let (port, server) = (listener.local_addr()?.port(), server.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let begin = Instant::now() + 2 * line.delay;
                let Ok(far) = TcpStream::connect(&server).await else { return };
                // Delays are this proxy's.
                if near.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
                    return;
                }
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(near_in, far_out, line, begin));
                tokio::spawn(carry(far_in, near_out, line, begin));
            }
        });
        Ok(Self { port, task })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, line: Line, begin: Instant) {
    let (sender, mut on_the_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((due, bytes)) = on_the_way.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    // When the line has room again.
    let mut free = begin;
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        free = free.max(Instant::now()) + Duration::from_secs_f64(count as f64 * 8.0 / line.bits_per_second);
        if sender.send((free + line.delay, chunk[..count].to_vec())).is_err() {
            return;
        }
        sleep_until(free - AHEAD).await;
    }
}
