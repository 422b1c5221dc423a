//! The floor of `catchup`: a file of entries is read and sent over TCP. No TLS, no rules, no frames.

use std::fs::File;
use std::io::{self, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub(crate) struct CatchupFloor {
    /// File of entries, each after its length, little-endian
    #[arg(long)]
    file: PathBuf,
}

/// Prints its address, and sends the file to whoever connects, one after another.
pub(crate) fn run(catchup: &CatchupFloor) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut stream, _) = listener.accept()?;
        io::copy(&mut BufReader::with_capacity(256 * 1024, File::open(&catchup.file)?), &mut stream)?;
    }
}
