//! What a user interface is told about open conversations.

use lockstep_protocol::entry::{Category, Collision, Delivery};
use lockstep_protocol::fact::{Direction, Media};
use lockstep_protocol::frame::Marker;
use lockstep_protocol::id::{ConversationId, MemberId, MessageId};

/// How a message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageState {
    /// Written here, not confirmed by the hub: grey.
    Pending,
    /// Confirmed: green. A reply goes to the customer.
    Sent,
    /// A reply that lost and is held back until its author decides: yellow.
    Held(Collision),
    /// A reply that lost and was sent nevertheless, marked, by the team's policy.
    Flagged(Collision),
    /// A held reply that its author sent anyway: green.
    SentAnyway,
    /// A held reply that its author will never send.
    Discarded,
    /// Taken in from elsewhere: it happened before, or outside of, this hub.
    Imported,
}

/// A message as it is to be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageView {
    /// Its id; the list is in order of it.
    pub id: MessageId,
    /// Its author.
    pub by: MemberId,
    /// Which way it goes.
    pub dir: Direction,
    /// What it is.
    pub kind: String,
    /// Its text, after the edit with the highest ULID.
    pub body: String,
    /// Whether there was an edit.
    pub edited: bool,
    /// The newest retraction's reason, if it was retracted.
    pub retracted: Option<String>,
    /// Members' current reactions, in ascending order of member.
    pub reactions: Vec<(MemberId, String)>,
    /// How it stands.
    pub state: MessageState,
    /// A decision about it that the hub has not confirmed.
    pub resolving: bool,
    /// How far its delivery got.
    pub delivery: Option<Delivery>,
    /// Its attachment.
    pub media: Option<Media>,
    /// What it answers or quotes.
    pub re: Option<MessageId>,
    /// What its sensitive words are about, ascending; empty for an ordinary message. Text of a sensitive message is for
    /// the open conversation only: no notification, no list.
    pub sensitive: Vec<Category>,
}

/// A change of an open view. `at` is a position in its list before (`Removed`) or after (others) the change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ViewEvent {
    /// The view is open; this is its list.
    Opened {
        /// The conversation.
        conversation: ConversationId,
        /// In order of id.
        messages: Vec<MessageView>,
    },
    /// A message appeared.
    Inserted {
        /// The conversation.
        conversation: ConversationId,
        /// Its position.
        at: usize,
        /// The message.
        message: MessageView,
    },
    /// A message changed.
    Changed {
        /// The conversation.
        conversation: ConversationId,
        /// Its position.
        at: usize,
        /// The message.
        message: MessageView,
    },
    /// A message disappeared.
    Removed {
        /// The conversation.
        conversation: ConversationId,
        /// Its position before.
        at: usize,
    },
    /// Someone else began, goes on or ended typing a reply.
    Lease {
        /// The conversation.
        conversation: ConversationId,
        /// Who; none when it ended.
        holder: Option<MemberId>,
    },
    /// Read positions changed.
    Markers {
        /// The conversation.
        conversation: ConversationId,
        /// All of them, in ascending order of member.
        markers: Vec<Marker>,
    },
    /// Fields or labels of the card changed.
    Card {
        /// The conversation.
        conversation: ConversationId,
        /// Fields with their values, in order of name.
        fields: Vec<(String, String)>,
        /// Labels that are on, in order.
        labels: Vec<String>,
    },
    /// The view is closed: the caller wanted it, or the conversation is visible no more.
    Closed {
        /// The conversation.
        conversation: ConversationId,
    },
}
