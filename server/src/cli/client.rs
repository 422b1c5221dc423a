//! `lockstep client`: a device that scripts can use, one folder each. How people try three devices in three terminals.

mod show;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use lockstep_client::{Device, Error, View};
use lockstep_protocol::entry::Resolution;
use lockstep_protocol::fact::Fact;
use lockstep_protocol::id::{ConversationId, MessageId};
use lockstep_protocol::link::Link;
use lockstep_protocol::refusal::RefusalCode;
use tokio::time::Instant;

use super::exit::{Exit, Failed};
use super::{Options, manage, output};
use crate::admin::{AdminClient, Answer, DeviceInfo, Hex, Request, SOCKET};
use show::{ConversationLine, MessageLine};

#[derive(Debug, Args)]
pub(super) struct Client {
    /// The device's folder
    #[arg(long, global = true, env = "LOCKSTEP_HOME", default_value = "lockstep-device", value_name = "DIR")]
    home: PathBuf,
    /// How long to wait for the hub, seconds; what is written is kept and sent later all the same
    #[arg(long, global = true, default_value_t = 10, value_name = "SECONDS")]
    wait: u64,
    #[command(subcommand)]
    verb: ClientVerb,
}

#[derive(Debug, Subcommand)]
enum ClientVerb {
    /// Make a device in the folder and enrol it with a pairing link
    Enrol {
        /// The link, as `lockstep pair` prints it
        link: String,
        /// What the team sees in its list of devices
        #[arg(long, default_value = "command line")]
        name: String,
    },
    /// How the device stands
    Status,
    /// List the conversations that the device shows, newest first
    Conversations,
    /// Send a reply to the customer
    Send {
        /// Conversation
        conversation: String,
        /// Text
        text: String,
    },
    /// Send a reply to the customer that answers one message
    Reply {
        /// Conversation
        conversation: String,
        /// The message that is answered
        message: String,
        /// Text
        text: String,
    },
    /// Write what the customer sent; for service accounts
    Receive {
        /// Conversation
        conversation: String,
        /// Text
        text: String,
    },
    /// Write an internal note
    Note {
        /// Conversation
        conversation: String,
        /// Text
        text: String,
    },
    /// Change an own message; a reply that is held back is written anew
    Edit {
        /// Conversation
        conversation: String,
        /// Message
        message: String,
        /// The new text
        text: String,
    },
    /// Take a message back
    Retract {
        /// Conversation
        conversation: String,
        /// Message
        message: String,
        /// Why
        #[arg(default_value = "")]
        reason: String,
    },
    /// React to a message
    React {
        /// Conversation
        conversation: String,
        /// Message
        message: String,
        /// An emoji; "" takes it back
        emoji: String,
    },
    /// Show the newest messages of a conversation
    History {
        /// Conversation
        conversation: String,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show what happens in a conversation, until interrupted
    Watch {
        /// Conversation
        conversation: String,
        /// Stop after so many changes
        #[arg(long)]
        count: Option<usize>,
    },
    /// Take the right to reply, as typing does, and keep it
    Typing {
        /// Conversation
        conversation: String,
        /// For so long, seconds
        #[arg(long = "for", default_value_t = 1, value_name = "SECONDS")]
        seconds: u64,
    },
    /// Decide about an own reply that is held back
    Resolve {
        /// Conversation
        conversation: String,
        /// Message
        message: String,
        /// What to do with it
        resolution: ResolutionName,
    },
    /// Wait until everything written here is confirmed and everything there is to see is here
    Sync,
    /// List the devices that one may revoke: one's own, and those of whom one manages
    Devices,
    /// Write a conversation's documents as Automerge files
    Export {
        /// Conversation
        conversation: String,
        /// As Automerge documents; the only form so far
        #[arg(long, required = true)]
        automerge: bool,
        /// Folder to write into
        #[arg(long, default_value = ".", value_name = "DIR")]
        to: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ResolutionName {
    /// Send it anyway, if nothing stands in the way any more
    Send,
    /// Never send it
    Discard,
}

/// What is on this device may take so long to be read, also for someone who does not wait for the hub.
const LOCAL_WAIT: Duration = Duration::from_secs(2);

/// Typing is repeated so often: a lease lives five seconds.
const TYPING_EVERY: Duration = Duration::from_secs(2);

pub(super) fn run(options: &Options, client: Client) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let wait = Duration::from_secs(client.wait);
        if let ClientVerb::Enrol { link, name } = client.verb {
            let link: Link = link.parse().map_err(|error| usage(&format!("{error}")))?;
            let device = within(wait, Device::enrol(&client.home, &link, &name)).await??;
            let status = within(wait, device.until(|status| status.member.is_some())).await;
            device.close().await;
            return show::enrolled(&status??, options.json);
        }
        let device = Device::open(&client.home).await?;
        let folder = options.config().ok().map(|config| config.folder);
        let done = Desk { device: &device, folder, wait, json: options.json }.run(client.verb).await;
        device.close().await;
        done
    })
}

struct Desk<'a> {
    device: &'a Device,
    /// Of the hub on this machine, if there is one.
    folder: Option<PathBuf>,
    wait: Duration,
    json: bool,
}

impl Desk<'_> {
    async fn run(&self, verb: ClientVerb) -> Result<(), Failed> {
        match verb {
            ClientVerb::Enrol { .. } => Err(usage("the device is enrolled already")),
            ClientVerb::Status => {
                // Without an answer in time, the status says so itself.
                drop(tokio::time::timeout(self.wait, self.device.synced()).await);
                show::status(&self.device.status(), self.json)
            }
            ClientVerb::Sync => {
                within(self.wait, self.device.synced()).await??;
                show::status(&self.device.status(), self.json)
            }
            ClientVerb::Conversations => {
                self.catch_up().await;
                let list = self.device.conversations();
                show::conversations(list.iter().map(|row| ConversationLine::new(row)).collect(), self.json)
            }
            ClientVerb::Send { conversation, text } => {
                let conversation = self.conversation(&conversation).await?;
                let id = self.device.send(conversation, &text).await?;
                self.settled(conversation, id).await
            }
            ClientVerb::Reply { conversation, message, text } => {
                let conversation = self.conversation(&conversation).await?;
                let id = self.device.reply(conversation, message_id(&message)?, &text).await?;
                self.settled(conversation, id).await
            }
            ClientVerb::Receive { conversation, text } => {
                let conversation = self.conversation(&conversation).await?;
                let id = self.device.receive(conversation, None, &text).await?;
                self.settled(conversation, id).await
            }
            ClientVerb::Note { conversation, text } => {
                let conversation = self.conversation(&conversation).await?;
                let id = self.device.note(conversation, &text).await?;
                self.settled(conversation, id).await
            }
            ClientVerb::Edit { conversation, message, text } => {
                let (conversation, message) = self.message(&conversation, &message).await?;
                let anew = self.device.edit(conversation, message, &text).await?;
                self.settled(conversation, anew.unwrap_or(message)).await
            }
            ClientVerb::Retract { conversation, message, reason } => {
                let (conversation, message) = self.message(&conversation, &message).await?;
                self.device.retract(conversation, message, &reason).await?;
                self.settled(conversation, message).await
            }
            ClientVerb::React { conversation, message, emoji } => {
                let (conversation, message) = self.message(&conversation, &message).await?;
                self.device.react(conversation, message, &emoji).await?;
                self.settled(conversation, message).await
            }
            ClientVerb::Resolve { conversation, message, resolution } => {
                let (conversation, message) = self.message(&conversation, &message).await?;
                let resolution = match resolution {
                    ResolutionName::Send => Resolution::Send,
                    ResolutionName::Discard => Resolution::Discard,
                };
                self.device.resolve(conversation, message, resolution).await?;
                self.settled(conversation, message).await
            }
            ClientVerb::History { conversation, limit } => {
                let conversation = self.conversation(&conversation).await?;
                self.catch_up().await;
                let view = self.history(conversation, limit).await?;
                let messages = view.messages();
                let newest = &messages[messages.len().saturating_sub(limit)..];
                newest.iter().try_for_each(|message| show::message(&MessageLine::new(message), self.json))
            }
            ClientVerb::Watch { conversation, count } => {
                let conversation = self.conversation(&conversation).await?;
                let mut view = self.device.open_conversation(conversation).await?;
                for _ in 0..count.unwrap_or(usize::MAX) {
                    let event = tokio::select! {
                        event = view.next() => event,
                        _ = tokio::signal::ctrl_c() => None,
                    };
                    let Some(event) = event else { return Ok(()) };
                    show::event(&event, view.messages(), self.json)?;
                }
                Ok(())
            }
            ClientVerb::Typing { conversation, seconds } => {
                let conversation = self.conversation(&conversation).await?;
                within(self.wait, self.device.online()).await??;
                let until = Instant::now() + Duration::from_secs(seconds);
                loop {
                    self.device.typing(conversation).await?;
                    if Instant::now() + TYPING_EVERY >= until {
                        break;
                    }
                    tokio::time::sleep(TYPING_EVERY).await;
                }
                tokio::time::sleep_until(until).await;
                show::done(self.json)
            }
            ClientVerb::Devices => {
                within(self.wait, self.device.online()).await??;
                let devices = within(self.wait, self.device.devices()).await??;
                let answer = Answer::Devices { devices: devices.iter().map(DeviceInfo::new).collect() };
                if self.json { output::json(&answer) } else { manage::print(&answer, false) }
            }
            ClientVerb::Export { conversation, to, .. } => {
                let conversation = self.conversation(&conversation).await?;
                self.catch_up().await;
                self.history(conversation, usize::MAX).await?;
                std::fs::create_dir_all(&to)?;
                self.tell_audit(conversation).await;
                let documents = self.device.export(conversation).await?;
                show::export(&documents, &to, self.json)
            }
        }
    }

    /// On the hub's own machine an export is an act for the audit log. Elsewhere there is no hub to tell, and a device
    /// shows its member nothing that they may not see.
    async fn tell_audit(&self, conversation: ConversationId) {
        let Some(folder) = self.folder.as_deref().filter(|folder| folder.join(SOCKET).exists()) else { return };
        let told = async {
            let mut client = AdminClient::connect(folder).await?;
            client.ask(&Request::Exported { conversation: Hex(conversation) }).await
        };
        if let Err(error) = told.await {
            tracing::warn!(%error, "this export could not be written into the audit log of the hub on this machine");
        }
    }

    /// Waits for what there is to see; without the hub, what is here has to do.
    async fn catch_up(&self) {
        let caught_up = self.device.until(|status| status.caught_up);
        if !matches!(tokio::time::timeout(self.wait, caught_up).await, Ok(Ok(_))) {
            tracing::warn!("the hub was not reached in time; showing what is here");
        }
    }

    /// A conversation by its id or by a beginning of it; waits until it is visible.
    async fn conversation(&self, text: &str) -> Result<ConversationId, Failed> {
        let mut list = self.device.watch_conversations();
        let found = async {
            loop {
                let matching: Vec<ConversationId> =
                    list.current().iter().map(|row| row.id).filter(|id| id.to_string().starts_with(text)).collect();
                match matching[..] {
                    [id] => return Ok(id),
                    [] => drop(list.changed().await.ok_or(Error::Closed)?),
                    _ => return Err(usage(&format!("`{text}` begins several conversations; give more of it"))),
                }
            }
        };
        within(self.wait, found).await.unwrap_or_else(|_| {
            let text = format!("this device sees no conversation `{text}`; `lockstep client conversations` lists all");
            Err(Failed::new(Exit::Failed, "conversation_unknown", text))
        })
    }

    async fn message(&self, conversation: &str, message: &str) -> Result<(ConversationId, MessageId), Failed> {
        let message = message_id(message)?;
        let conversation = self.conversation(conversation).await?;
        let mut view = self.device.open_conversation(conversation).await?;
        let known = view.until(|shown| shown.message(message).is_some());
        if !matches!(tokio::time::timeout(self.wait, known).await, Ok(Ok(_))) {
            let text = "this device does not see that message; `lockstep client history` lists them";
            return Err(Failed::new(Exit::Failed, "target_unknown", text));
        }
        Ok((conversation, message))
    }

    /// A view with at least `limit` messages, or all that there are; without the hub, all that are here.
    async fn history(&self, conversation: ConversationId, limit: usize) -> Result<View, Failed> {
        let mut view = self.device.open_conversation(conversation).await?;
        let enough = async {
            while view.messages().len() < limit && self.device.has_older(conversation).await? {
                self.device.show_older(conversation).await?;
                // Its messages come as events, at once or when the hub has sent them.
                if view.next().await.is_none() {
                    return Err(Error::Closed);
                }
                while let Ok(Some(_)) = tokio::time::timeout(Duration::ZERO, view.next()).await {}
            }
            Ok(())
        };
        match tokio::time::timeout(self.wait.max(LOCAL_WAIT), enough).await {
            Ok(done) => done?,
            Err(_) => eprintln!("older messages have not come from the hub in time; showing what is here"),
        }
        Ok(view)
    }

    /// Waits for the hub's verdict on what was written, and prints the message as it stands.
    async fn settled(&self, conversation: ConversationId, id: MessageId) -> Result<(), Failed> {
        let mut view = self.device.open_conversation(conversation).await?;
        let synced = tokio::time::timeout(self.wait, self.device.synced()).await;
        let is_settled = matches!(synced, Ok(Ok(())));
        while let Ok(Some(_)) = tokio::time::timeout(Duration::ZERO, view.next()).await {}
        let given_up = self.device.not_sent();
        let given_up = given_up.iter().find(|item| matches!(&item.fact, Fact::Message(message) if message.id == id));
        if let Some(item) = given_up {
            let why =
                RefusalCode::from_number(item.code).map_or_else(|| item.code.to_string(), |code| code.to_string());
            return Err(Failed::new(Exit::Failed, "not_sent", format!("not sent, because {why}")));
        }
        match view.shown().message(id) {
            Some(message) => show::message(&MessageLine::new(message), self.json)?,
            None => show::done(self.json)?,
        }
        if !is_settled && !self.json {
            eprintln!("the hub has not confirmed it yet; it is kept and sent when the hub can be reached");
        }
        Ok(())
    }
}

fn message_id(text: &str) -> Result<MessageId, Failed> {
    MessageId::parse(text)
        .ok_or_else(|| usage("a message id is 26 letters and digits, as `lockstep client history` shows them"))
}

fn usage(text: &str) -> Failed {
    Failed::new(Exit::Usage, "usage", text)
}

async fn within<T>(wait: Duration, doing: impl Future<Output = T>) -> Result<T, Failed> {
    tokio::time::timeout(wait, doing).await.map_err(|_| {
        let text =
            format!("no answer from the hub in {} s; is it running, and is its address reachable?", wait.as_secs());
        Failed::new(Exit::Unavailable, "timeout", text)
    })
}
