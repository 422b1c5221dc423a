//! The hub of Lockstep as a process: sockets, TLS, RocksDB and the command line around [`lockstep_core`].
//!
//! ```text
//! socket ─ connection ─▶ driver (owns the core) ─▶ commit thread ─ one write, one sync ─▶ driver ─▶ sockets
//!                              │      ▲
//!                              └▶ readers, compaction ─┘
//! ```
//!
//! One task owns the core (`driver`); everything else has a bounded way to it. The store has one writer
//! (`commit`) and readers that see committed state only (`worker`). Whoever is not yet known is bounded in number
//! and time (`listener`). Logs carry ids, never bodies, names or keys.

pub mod admin;
pub mod audit;
pub mod cli;
mod clock;
mod commit;
pub mod config;
mod connection;
mod core_dumps;
mod driver;
mod entropy;
mod import;
mod inbox;
mod instance;
pub mod keychain;
mod listener;
mod metrics;
mod names;
mod private;
pub mod server;
pub mod store;
mod tls;
pub mod verify;
pub mod words;
mod worker;
