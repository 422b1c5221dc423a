//! The command line. Every verb that prints data knows `--json`; exit codes are in [`exit`].

mod audit;
mod client;
mod demo;
mod doctor;
pub mod exit;
mod init;
mod manage;
mod migrate;
mod output;
mod serve;
mod shred;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::admin::{KeepText, PolicyChange, RoleName};
use crate::config::{Config, ConfigProblems};
use exit::Exit;
use lockstep_protocol::keep::KeepMalformed;

/// A team's customer chats, the same on every device: a self-hosted hub, and devices of it.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb understands.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Configuration file; without it, LOCKSTEP_CONFIG or /etc/lockstep/lockstep.toml if it is there
    #[arg(long, global = true, env = "LOCKSTEP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The hub's folder of data
    #[arg(long, global = true, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Any setting, as --set listen.address=127.0.0.1:7443; see lockstep.example.toml
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the hub
    Serve,
    /// Make a hub's folder with its first owner, and a link to pair their first device
    Init(init::Init),
    /// How the running hub is
    Status,
    /// Look for what is wrong, and say what to do
    Doctor,
    /// Members of the team
    #[command(subcommand)]
    Member(MemberVerb),
    /// Make a link and QR code that enrol one new device of a member
    Pair {
        /// Staff number
        member: u32,
        /// Print the link alone, without a QR code
        #[arg(long)]
        no_qr: bool,
    },
    /// Devices of the team
    #[command(subcommand)]
    Device(DeviceVerb),
    /// Conversations
    #[command(subcommand)]
    Conversation(ConversationVerb),
    /// The list of sensitive words
    #[command(subcommand)]
    Words(WordsVerb),
    /// The team's choices
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Read everything that the hub holds, and name what is damaged, missing or exchanged
    Verify,
    /// Who did what, and who was refused what
    Audit(audit::Audit),
    /// The hub's certificate
    #[command(subcommand)]
    Certificate(CertificateVerb),
    /// The keys that everything on the disk is sealed under
    #[command(subcommand)]
    Key(KeyVerb),
    /// Destroy a conversation for ever: everything in it, and the keys under which it was sealed
    Shred(shred::Shred),
    /// Show it: three devices in lockstep on a real chat export
    Demo(demo::Demo),
    /// Chat exports from elsewhere
    #[command(subcommand)]
    Migrate(migrate::MigrateVerb),
    /// A device that scripts can use
    Client(client::Client),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the man pages into a folder
    Man {
        /// The folder
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum MemberVerb {
    /// Add a member
    Add {
        /// Shown name
        name: String,
        /// Role
        #[arg(long, default_value = "agent")]
        role: RoleName,
        /// Staff number; the next free one otherwise
        #[arg(long)]
        id: Option<u32>,
    },
    /// List the members
    List,
    /// Change a role
    Role {
        /// Staff number
        member: u32,
        /// The new role
        role: RoleName,
    },
    /// Remove a member and revoke their devices; name and number stay with what they wrote
    Remove {
        /// Staff number
        member: u32,
    },
}

#[derive(Debug, Subcommand)]
enum DeviceVerb {
    /// List the devices
    List,
    /// Revoke a device: its connection closes at once
    Revoke {
        /// Its id, as the list shows it
        device: String,
    },
}

#[derive(Debug, Subcommand)]
enum ConversationVerb {
    /// Open a conversation with a customer
    New {
        /// The customer's shown name
        customer: String,
        /// Staff number of the service account that carries its channel
        #[arg(long)]
        service: Option<u32>,
        /// Staff numbers of members to assign
        #[arg(long, value_delimiter = ',')]
        assign: Vec<u32>,
    },
    /// List the conversations
    List,
    /// Assign a member to a conversation
    Assign {
        /// Its id, as the list shows it
        conversation: String,
        /// Staff number
        member: u32,
    },
    /// Take a member off a conversation
    Unassign {
        /// Its id, as the list shows it
        conversation: String,
        /// Staff number
        member: u32,
    },
    /// Set how long a conversation's messages are kept
    Keep {
        /// Its id, as the list shows it
        conversation: String,
        /// `forever`, days from 7d, or `team` for as long as the policy says
        #[arg(value_name = "forever|90d|team", value_parser = keep_or_team)]
        keep: KeepOrTeam,
    },
}

#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// Say where the root key comes from, and how many data keys there are
    Status,
    /// Wrap all data keys anew, under key-encryption keys of a new generation
    Rotate,
}

#[derive(Debug, Subcommand)]
enum WordsVerb {
    /// Show the list, and how far the look at everything stored got with it
    List {
        /// Only what the team added
        #[arg(long)]
        added: bool,
    },
    /// Add words or phrases; everything stored is looked at again in the background
    Add {
        /// What they are about: contract, payment, bank, identity or password
        #[arg(long)]
        category: String,
        /// Words or phrases
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Take words or phrases out of the list; what was marked stays marked
    Remove {
        /// Words or phrases
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Show what the list finds in a text; the text is kept nowhere
    Test {
        /// The text
        text: String,
    },
}

#[derive(Debug, Subcommand)]
enum PolicyVerb {
    /// Show them
    Show,
    /// Change some of them; the others stay
    Set(PolicyChange),
}

#[derive(Debug, Subcommand)]
enum CertificateVerb {
    /// Take the certificate's files as they are now, without a restart
    Reload,
    /// Print its private key as PEM, for a proxy that speaks TLS in the hub's place
    Key,
}

impl Options {
    pub(crate) fn config(&self) -> Result<Config, ConfigProblems> {
        let usual = PathBuf::from("/etc/lockstep/lockstep.toml");
        let file = self.config.clone().or_else(|| usual.exists().then_some(usual));
        let mut flags = self.set.clone();
        if let Some(folder) = &self.folder {
            flags.push(("folder".into(), folder.display().to_string()));
        }
        Config::load(file.as_deref(), std::env::vars(), &flags)
    }
}

/// A keep time, or the team's.
#[derive(Debug, Clone, Copy)]
struct KeepOrTeam(Option<KeepText>);

fn keep_or_team(text: &str) -> Result<KeepOrTeam, KeepMalformed> {
    if text == "team" { Ok(KeepOrTeam(None)) } else { text.parse().map(|keep| KeepOrTeam(Some(keep))) }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a setting is given as key=value")?;
    Ok((key.trim().into(), value.into()))
}

/// Runs the command line and answers the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> std::process::ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; printing fails only when nobody reads.
            let is_error = error.use_stderr();
            drop(error.print());
            return if is_error { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    let json = cli.options.json;
    match dispatch(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(failed) => {
            output::failure(&failed, json);
            failed.exit.into()
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), exit::Failed> {
    let Cli { options, verb } = cli;
    match verb {
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "lockstep", &mut std::io::stdout());
            Ok(())
        }
        Verb::Man { folder } => {
            std::fs::create_dir_all(&folder)?;
            clap_mangen::generate_to(Cli::command(), &folder)?;
            Ok(())
        }
        Verb::Serve => serve::run(&options.config()?),
        Verb::Init(init) => init::run(&options, init),
        Verb::Demo(demo) => demo::run(&options, &demo),
        Verb::Migrate(verb) => migrate::run(&options, verb),
        Verb::Client(client) => client::run(&options, client),
        Verb::Doctor => doctor::run(&options),
        Verb::Status => manage::run(&options, manage::Task::Status),
        Verb::Member(verb) => manage::run(&options, verb.into()),
        Verb::Pair { member, no_qr } => manage::run(&options, manage::Task::Pair { member, qr: !no_qr }),
        Verb::Device(verb) => manage::run(&options, verb.into()),
        Verb::Conversation(verb) => manage::run(&options, verb.into()),
        Verb::Key(verb) => manage::run(&options, verb.into()),
        Verb::Shred(shred) => shred::run(&options, &shred),
        Verb::Words(verb) => manage::run(&options, verb.into()),
        Verb::Policy(verb) => manage::run(&options, verb.into()),
        Verb::Verify => verify::run(&options),
        Verb::Audit(audit) => audit::run(&options, &audit),
        Verb::Certificate(CertificateVerb::Reload) => manage::run(&options, manage::Task::ReloadCertificate),
        Verb::Certificate(CertificateVerb::Key) => {
            manage::run(&options, manage::Task::Ask(crate::admin::Request::CertificateKey))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
