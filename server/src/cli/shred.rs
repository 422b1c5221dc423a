//! `lockstep shred`: a conversation is destroyed, and what remains of it is said.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;

use super::exit::{Exit, Failed};
use super::{Options, output};
use crate::admin::{AdminClient, Answer, Request, ShredReport};

/// Destroy a conversation for ever: everything in it, and the keys under which it was sealed
#[derive(Debug, Args)]
pub(super) struct Shred {
    /// Its id, as `lockstep conversation list` shows it
    #[arg(long, value_name = "ID")]
    conversation: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Asks the person, then the hub.
pub(super) fn run(options: &Options, shred: &Shred) -> Result<(), Failed> {
    let usage = |what: String| Failed::new(Exit::Usage, "usage", what);
    let conversation = shred.conversation.parse().map_err(usage)?;
    if !shred.yes {
        confirm(&shred.conversation)?;
    }
    let folder = options.config()?.folder;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request = Request::Shred { conversation };
    let answer = runtime.block_on(async { AdminClient::connect(&folder).await?.ask(&request).await })?;
    match &answer {
        answer if options.json => output::json(answer),
        Answer::Shredded(report) => print(report),
        answer => super::manage::print(answer, false),
    }
}

/// Has the id typed again.
fn confirm(id: &str) -> Result<(), Failed> {
    let refused = |what: &str| Failed::new(Exit::Usage, "usage", what);
    if !std::io::stdin().is_terminal() {
        return Err(refused("nobody can be asked here; --yes shreds without asking"));
    }
    let mut screen = std::io::stderr();
    write!(screen, "Nothing brings it back. Type the id again to destroy the conversation: ")?;
    screen.flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() == id { Ok(()) } else { Err(refused("that is another id; nothing was shredded")) }
}

/// What is gone and what is not, in plain words.
pub(super) fn print(report: &ShredReport) -> Result<(), Failed> {
    let ShredReport { conversation, messages, documents, keys, devices_away } = report;
    output::line(&format!("shredded {conversation}"))?;
    output::line(&format!("gone: {messages} messages in {documents} documents, and {keys} data keys"))?;
    output::line("What remains:")?;
    for line in [
        "- rows of the audit log that name the conversation's id; they hold no names and no text",
        "- copies of the hub's folder made before now: they can be read with the keys/data.keys of that time, and not with \
         the present one. Delete the old copies of keys/data.keys",
        "- what people have seen, copied or photographed, and what the channel itself keeps",
    ] {
        output::line(line)?;
    }
    if devices_away.is_empty() {
        return output::line("- nothing on devices: all of them are connected and delete their copies now");
    }
    output::line("- copies on devices that are not connected; each is deleted when the device next connects:")?;
    let rows = devices_away.iter().map(|device| {
        let last_seen = device.last_seen.clone().unwrap_or_else(|| "never".into());
        vec![device.id.clone(), device.member.to_string(), device.name.clone(), last_seen]
    });
    output::table(&["device", "member", "name", "last seen"], &rows.collect::<Vec<_>>())
}
