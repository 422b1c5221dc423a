//! What ours is held against: small servers that do one thing, each a process of this program.

pub(crate) mod catchup;
pub(crate) mod fanout;
pub(crate) mod relay;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use anyhow::Context;

use crate::machine::{self, SERVER_CORE};

/// A running floor of any kind: a process of this program on the servers' core.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: String,
}

impl Server {
    /// Starts this program with arguments that make it a server, which prints its address first.
    pub(crate) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = machine::on_core(&std::env::current_exe()?, SERVER_CORE)?;
        let mut process = command.args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(process.stdout.take().context("a pipe")?).read_line(&mut address)?;
        Ok(Self { process, address: address.trim().to_owned() })
    }

    /// One more connection.
    pub(crate) fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(crate::PATIENCE))?;
        Ok(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
