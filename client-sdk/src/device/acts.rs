//! What a member does on the device.

use lockstep_client_core::effect::ActOutcome;
use lockstep_client_core::input::{Act, Draft};
use lockstep_protocol::directory::{Conversation, Member, Role};
use lockstep_protocol::entry::{Delivery, Resolution};
use lockstep_protocol::fact::Direction;
use lockstep_protocol::frame::{Command, ListedDevice, Outcome};
use lockstep_protocol::id::{ConversationId, DeviceId, MemberId, MessageId};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::limits;
use lockstep_protocol::link::Link;

use tokio::sync::oneshot;

use super::{Device, random};
use crate::driver::Request;
use crate::error::Error;

/// Writing. Every act is answered when it is durable on this device; the hub's verdict comes through the view.
///
/// An id that was answered offline is the message's for good, unless this device's clock turns out to be more than five
/// minutes ahead of the hub's: then the message is written again under a new one, and views show it so.
///
/// All of them fail with `Rejected` if a rule that the device knows forbids it, `Busy` if too much waits, `StoreFailed`
/// and `Closed`.
impl Device {
    /// Writes a reply to the customer.
    ///
    /// # Errors
    /// See above.
    pub async fn send(&self, conversation: ConversationId, body: &str) -> Result<MessageId, Error> {
        self.write(Draft::text(conversation, Direction::Out, body)).await
    }

    /// Writes a reply to the customer that answers one message.
    ///
    /// # Errors
    /// See above.
    pub async fn reply(&self, conversation: ConversationId, re: MessageId, body: &str) -> Result<MessageId, Error> {
        self.write(Draft { re: Some(re), ..Draft::text(conversation, Direction::Out, body) }).await
    }

    /// Writes an internal note.
    ///
    /// # Errors
    /// See above.
    pub async fn note(&self, conversation: ConversationId, body: &str) -> Result<MessageId, Error> {
        self.write(Draft::text(conversation, Direction::Note, body)).await
    }

    /// Writes what the customer sent; for the service account of the conversation's channel. `id` is derived from the
    /// channel's own message id, so that the same message received twice is one; none draws a new one.
    ///
    /// # Errors
    /// See above.
    pub async fn receive(
        &self,
        conversation: ConversationId,
        id: Option<MessageId>,
        body: &str,
    ) -> Result<MessageId, Error> {
        self.write(Draft { id, ..Draft::text(conversation, Direction::In, body) }).await
    }

    /// Writes any message.
    ///
    /// # Errors
    /// See above.
    pub async fn write(&self, draft: Draft) -> Result<MessageId, Error> {
        match self.act(Act::Write(draft)).await? {
            ActOutcome::Written(id) => Ok(id),
            _ => Err(Error::Interrupted),
        }
    }

    /// Writes a new body for one's own message. A reply that is held back is discarded and written anew: then this
    /// answers the new reply's id.
    ///
    /// # Errors
    /// See above.
    pub async fn edit(
        &self,
        conversation: ConversationId,
        message: MessageId,
        body: &str,
    ) -> Result<Option<MessageId>, Error> {
        match self.act(Act::Edit { conversation, message, body: body.to_owned() }).await? {
            ActOutcome::Written(id) => Ok(Some(id)),
            _ => Ok(None),
        }
    }

    /// Retracts a message; the reason may be empty.
    ///
    /// # Errors
    /// See above.
    pub async fn retract(&self, conversation: ConversationId, message: MessageId, reason: &str) -> Result<(), Error> {
        self.done(Act::Retract { conversation, message, reason: reason.to_owned() }).await
    }

    /// Reacts to a message; an empty emoji takes it back.
    ///
    /// # Errors
    /// See above.
    pub async fn react(&self, conversation: ConversationId, message: MessageId, emoji: &str) -> Result<(), Error> {
        self.done(Act::React { conversation, message, emoji: emoji.to_owned() }).await
    }

    /// Sets a field of the conversation's card (`[a-z][a-z0-9_]{0,31}`).
    ///
    /// # Errors
    /// See above.
    pub async fn set_field(&self, conversation: ConversationId, name: &str, value: &str) -> Result<(), Error> {
        self.done(Act::SetField { conversation, name: name.to_owned(), value: value.to_owned() }).await
    }

    /// Sets or takes away a label.
    ///
    /// # Errors
    /// See above.
    pub async fn set_label(&self, conversation: ConversationId, label: &str, on: bool) -> Result<(), Error> {
        self.done(Act::SetLabel { conversation, label: label.to_owned(), on }).await
    }

    /// Has read up to a message.
    ///
    /// # Errors
    /// See above.
    pub async fn mark_read(&self, conversation: ConversationId, message: MessageId) -> Result<(), Error> {
        self.done(Act::MarkRead { conversation, message }).await
    }

    /// Types a reply: takes or renews the lease, so that others see it. Call it at every key; it is thinned out.
    ///
    /// # Errors
    /// See above.
    pub async fn typing(&self, conversation: ConversationId) -> Result<(), Error> {
        self.done(Act::Type { conversation }).await
    }

    /// Decides about one's own held reply: send it anyway, or never.
    ///
    /// # Errors
    /// See above; `Rejected(NotHeld)` or `Rejected(AlreadyResolved)`.
    pub async fn resolve(
        &self,
        conversation: ConversationId,
        message: MessageId,
        resolution: Resolution,
    ) -> Result<(), Error> {
        self.done(Act::Resolve { conversation, message, resolution }).await
    }

    /// Shows one older segment (some hundred messages) in the conversation's open views; fetched if it is not here.
    ///
    /// # Errors
    /// See above.
    pub async fn show_older(&self, conversation: ConversationId) -> Result<(), Error> {
        self.done(Act::ShowOlder { conversation }).await
    }

    /// Whether an open view of the conversation could show more than it does. Also true while it is not known yet, because
    /// the hub is still to say what there is.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn has_older(&self, conversation: ConversationId) -> Result<bool, Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::HasOlder(conversation, reply)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)
    }

    /// Removes an item of [`Device::not_sent`], by its `order`.
    ///
    /// # Errors
    /// See above.
    pub async fn dismiss(&self, item: u64) -> Result<(), Error> {
        self.done(Act::Dismiss { item }).await
    }

    /// Connects now instead of waiting, also after the hub refused the device.
    ///
    /// # Errors
    /// See above.
    pub async fn connect(&self) -> Result<(), Error> {
        self.done(Act::Connect).await
    }

    async fn done(&self, act: Act) -> Result<(), Error> {
        self.act(act).await.map(drop)
    }
}

/// Managing. These need a connection and the right role; they are answered by the hub, and what it did comes with the
/// log to every device.
///
/// All of them fail with `Offline`, `Interrupted` (the connection broke before the answer: it may be done or not),
/// `Refused`, `Busy` and `Closed`.
impl Device {
    /// Asks the hub for any command. A refusal is an error.
    ///
    /// # Errors
    /// See above.
    pub async fn command(&self, command: Command) -> Result<Outcome, Error> {
        match self.act(Act::Command(command)).await? {
            ActOutcome::Answered(Outcome::Refused(refusal)) => Err(Error::Refused(Box::new(refusal))),
            ActOutcome::Answered(outcome) => Ok(outcome),
            _ => Err(Error::Interrupted),
        }
    }

    /// Opens a conversation with a customer; `service` is the account of its channel, if one carries it. Answers its
    /// id.
    ///
    /// # Errors
    /// See above.
    pub async fn start_conversation(
        &self,
        customer: &str,
        service: Option<MemberId>,
        assigned: Vec<MemberId>,
    ) -> Result<ConversationId, Error> {
        let mut id = ConversationId::default();
        id.0.copy_from_slice(&random()?[..16]);
        let conversation = Conversation { id, customer: customer.to_owned(), service, assigned, keep: None };
        self.command(Command::ConversationOpen(conversation)).await?;
        Ok(id)
    }

    /// Assigns a member to a conversation.
    ///
    /// # Errors
    /// See above.
    pub async fn assign(&self, conversation: ConversationId, member: MemberId) -> Result<(), Error> {
        self.command(Command::Assign { conversation, member }).await.map(drop)
    }

    /// Takes a member off a conversation.
    ///
    /// # Errors
    /// See above.
    pub async fn unassign(&self, conversation: ConversationId, member: MemberId) -> Result<(), Error> {
        self.command(Command::Unassign { conversation, member }).await.map(drop)
    }

    /// Sets how long a conversation's messages are kept; none for as long as the policy says.
    ///
    /// # Errors
    /// See above.
    pub async fn keep(&self, conversation: ConversationId, keep: Option<Keep>) -> Result<(), Error> {
        self.command(Command::ConversationKeep { conversation, keep }).await.map(drop)
    }

    /// Adds a member to the team.
    ///
    /// # Errors
    /// See above.
    pub async fn add_member(&self, id: MemberId, name: &str, role: Role) -> Result<(), Error> {
        self.command(Command::MemberAdd(Member { id, name: name.to_owned(), role })).await.map(drop)
    }

    /// Makes a pairing link for a new device of a member: oneself, or whom one manages.
    ///
    /// # Errors
    /// See above.
    pub async fn invite(&self, member: MemberId) -> Result<Link, Error> {
        match self.command(Command::Invite { member }).await? {
            Outcome::Invited { code, .. } => {
                let hub = self.hub();
                Ok(Link { host: hub.host.clone(), port: hub.port, pinned: hub.pinned, code })
            }
            _ => Err(Error::Interrupted),
        }
    }

    /// Revokes a device: one's own, or of whom one manages.
    ///
    /// # Errors
    /// See above.
    pub async fn revoke(&self, device: DeviceId) -> Result<(), Error> {
        self.command(Command::DeviceRevoke { device }).await.map(drop)
    }

    /// The devices that one may revoke, in order of id: one's own, and those of whom one manages; with when the hub last
    /// heard of each.
    ///
    /// # Errors
    /// See above.
    pub async fn devices(&self) -> Result<Vec<ListedDevice>, Error> {
        let mut devices = Vec::new();
        loop {
            let after = devices.last().map(|listed: &ListedDevice| listed.device);
            let Outcome::Devices(page) = self.command(Command::DeviceList { after }).await? else {
                return Err(Error::Interrupted);
            };
            let is_last = page.len() < limits::DEVICES_LISTED_MAX;
            devices.extend(page);
            if is_last {
                return Ok(devices);
            }
        }
    }

    /// Removes a member from the team and revokes their devices. What they wrote keeps their name and number.
    ///
    /// # Errors
    /// See above.
    pub async fn remove_member(&self, id: MemberId) -> Result<(), Error> {
        self.command(Command::MemberRemove { member: id }).await.map(drop)
    }

    /// Reports how far the delivery of a reply got; for the service account of the conversation's channel.
    ///
    /// # Errors
    /// See above.
    pub async fn deliver(
        &self,
        conversation: ConversationId,
        message: MessageId,
        delivery: Delivery,
    ) -> Result<(), Error> {
        self.command(Command::Deliver { conversation, message, delivery }).await.map(drop)
    }
}
