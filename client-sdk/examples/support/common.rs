//! What the examples share: arguments, devices, and a conversation to write into.

#![allow(dead_code)] // No example uses all of it.

use std::path::PathBuf;

use lockstep_client::{ConversationId, Device, Error, Link, MessageState, MessageView, ViewEvent};

/// The folder, and the pairing links: arguments after it, or `LOCKSTEP_LINKS`, separated by blanks.
pub(crate) fn arguments() -> (PathBuf, Vec<Link>) {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| {
        eprintln!("usage: FOLDER [LINK…]   (links may also stand in LOCKSTEP_LINKS)");
        std::process::exit(64);
    });
    let given: Vec<String> = arguments.collect();
    let texts = if given.is_empty() {
        let links = std::env::var("LOCKSTEP_LINKS").unwrap_or_default();
        links.split_whitespace().map(str::to_owned).collect()
    } else {
        given
    };
    let link = |text: &String| {
        text.parse().unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(64);
        })
    };
    (folder.into(), texts.iter().map(link).collect())
}

/// Devices in folders of these names, enrolled with the links in order, or opened if they were before; synced.
pub(crate) async fn devices<const N: usize>(names: [&str; N]) -> Result<[Device; N], Box<dyn std::error::Error>> {
    let (folder, links) = arguments();
    let mut devices = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        let home = folder.join(name);
        let device = match links.get(at) {
            Some(link) => match Device::enrol(&home, link, name).await {
                Err(Error::AlreadyEnrolled(_)) => Device::open(&home).await?,
                other => other?,
            },
            None => Device::open(&home).await?,
        };
        device.synced().await?;
        println!("{name} is device {} of member {}", device.id(), device.member()?);
        devices.push(device);
    }
    devices.try_into().map_err(|_| "as many devices as names".into())
}

/// The newest conversation, or a new one.
pub(crate) async fn conversation(device: &Device) -> Result<ConversationId, Error> {
    if let Some(newest) = device.conversations().first() {
        return Ok(newest.id);
    }
    let id = device.start_conversation("Harbour Street Grocers", None, Vec::new()).await?;
    device.conversation(id).await?;
    Ok(id)
}

/// A conversation that both see: the newest that they share, or a new one that the second's member is assigned to.
pub(crate) async fn shared(one: &Device, two: &Device) -> Result<ConversationId, Error> {
    let theirs = two.conversations();
    let seen = |id| theirs.iter().any(|conversation| conversation.id == id);
    if let Some(common) = one.conversations().iter().find(|conversation| seen(conversation.id)) {
        return Ok(common.id);
    }
    let assigned = vec![two.member()?];
    let id = one.start_conversation("Harbour Street Grocers", None, assigned).await?;
    one.conversation(id).await?;
    two.conversation(id).await?;
    Ok(id)
}

/// Whether the hub has judged a message.
pub(crate) fn is_judged(message: &MessageView) -> bool {
    message.state != MessageState::Pending
}

/// A message on one line: never colour alone.
pub(crate) fn line(message: &MessageView) -> String {
    let state = match message.state {
        MessageState::Pending => "grey, waiting".to_owned(),
        MessageState::Sent => "green, sent".to_owned(),
        MessageState::SentAnyway => "green, sent anyway".to_owned(),
        MessageState::Held(collision) => {
            format!("yellow, held: member {} was first ({:?})", collision.by, collision.cause)
        }
        MessageState::Flagged(collision) => format!("yellow, sent though member {} was first", collision.by),
        MessageState::Discarded => "discarded".to_owned(),
        MessageState::Imported => "imported".to_owned(),
    };
    format!("[{state}] {} of member {}: {}", message.dir.as_str(), message.by, message.body)
}

/// An event on one line.
pub(crate) fn short(event: &ViewEvent) -> String {
    match event {
        ViewEvent::Inserted { at, message } => format!("message at {at}: {}", line(message)),
        ViewEvent::Changed { at, message } => format!("changed at {at}: {}", line(message)),
        ViewEvent::Removed { at } => format!("removed at {at}"),
        ViewEvent::Typing(Some(member)) => format!("member {member} types"),
        ViewEvent::Typing(None) => "nobody types".to_owned(),
        other => format!("{other:?}"),
    }
}
