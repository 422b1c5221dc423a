//! The floor of `latency`: TCP in, append and fdatasync, TCP out to every device. No TLS, no documents, no rules.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use clap::Args;

/// Bytes before each record: its length, little-endian.
pub(crate) const HEADER_BYTES: usize = 4;

#[derive(Args)]
pub(crate) struct Relay {
    /// File to append to
    #[arg(long)]
    file: PathBuf,
    /// Devices to wait for; the first one writes
    #[arg(long)]
    devices: usize,
}

/// Prints its address, takes the devices, and relays until the first one closes.
pub(crate) fn run(relay: &Relay) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let accept = || -> anyhow::Result<TcpStream> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let mut devices = (0..relay.devices).map(|_| accept()).collect::<anyhow::Result<Vec<_>>>()?;
    let mut writer = devices.remove(0);
    let mut file = std::fs::File::create(&relay.file)?;
    let mut record = Vec::new();
    loop {
        let mut header = [0; HEADER_BYTES];
        if writer.read_exact(&mut header).is_err() {
            return Ok(());
        }
        record.resize(u32::from_le_bytes(header) as usize, 0);
        writer.read_exact(&mut record)?;
        file.write_all(&record)?;
        file.sync_data()?;
        let framed = [&header[..], &record].concat();
        for device in &mut devices {
            device.write_all(&framed)?;
        }
    }
}
