//! `lockstep serve`: the hub until it is told to stop.

use std::io::IsTerminal;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::exit::Failed;
use crate::config::{Config, LogConfig, LogFormat};
use crate::server::Server;

/// Runs until SIGTERM or SIGINT, or until the log fails.
pub(super) fn run(config: &Config) -> Result<(), Failed> {
    start_log(&config.log);
    crate::core_dumps::forbid();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut server = Server::start(config).await?;
        tokio::select! {
            ended = server.ended() => return Ok(ended?),
            _ = terminate.recv() => tracing::info!("SIGTERM: the hub stops"),
            _ = interrupt.recv() => tracing::info!("SIGINT: the hub stops"),
        }
        Ok(server.stop().await?)
    })
}

/// What other libraries may say at most, whatever the configuration asks for: at `trace` Automerge writes the text of
/// messages, and a WebSocket library whole frames. Their spans cost a tenth of a compaction besides.
fn of_others() -> Targets {
    Targets::new().with_default(tracing::Level::WARN).with_target("lockstep", tracing::Level::TRACE)
}

/// Logs go to standard error, so that standard output stays for data.
fn start_log(config: &LogConfig) {
    let filter: Targets = config.level.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    let registry = tracing_subscriber::registry().with(filter).with(of_others());
    let colour = std::io::stderr().is_terminal();
    match config.format {
        LogFormat::Text => {
            registry.with(tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(std::io::stderr)).init();
        }
        LogFormat::Json => registry.with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr)).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_program_is_talkative() {
        use tracing::Level;
        let rows = [
            ("lockstep_server::store", Level::TRACE, true),
            ("lockstep_core", Level::DEBUG, true),
            ("automerge::transaction::inner", Level::WARN, true),
            ("automerge::transaction::inner", Level::INFO, false),
            ("tungstenite::protocol", Level::TRACE, false),
            ("rustls", Level::DEBUG, false),
        ];
        for (target, level, is_shown) in rows {
            assert_eq!(of_others().would_enable(target, &level), is_shown, "{target} {level}");
        }
    }
}
