//! A network cable between a device and the hub that can be pulled: a relay of bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::super::exit::Failed;

/// The cable. Dropped, it is gone.
pub(super) struct Cable {
    address: SocketAddr,
    plugged: Arc<watch::Sender<bool>>,
    relay: JoinHandle<()>,
}

impl Cable {
    /// Lays a cable to an address.
    pub(super) async fn lay(to: SocketAddr) -> Result<Self, Failed> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let to = SocketAddr::from(([127, 0, 0, 1], to.port()));
        let (plugged, watched) = watch::channel(true);
        let relay = tokio::spawn(relay(listener, to, watched));
        Ok(Self { address, plugged: Arc::new(plugged), relay })
    }

    /// The device's end of it.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Pulls it: connections break, new ones are not carried.
    pub(super) fn pull(&self) {
        self.plugged.send_replace(false);
    }

    /// Plugs it in again.
    pub(super) fn plug_in(&self) {
        self.plugged.send_replace(true);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

async fn relay(listener: TcpListener, to: SocketAddr, mut plugged: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((mut near, _)) = listener.accept() => {
                if *plugged.borrow() {
                    connections.spawn(async move {
                        if let Ok(mut far) = TcpStream::connect(to).await {
                            // Either side may end it at any time.
                            drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                        }
                    });
                }
            }
            changed = plugged.changed() => {
                if changed.is_err() {
                    return;
                }
                if !*plugged.borrow_and_update() {
                    connections.shutdown().await;
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}
