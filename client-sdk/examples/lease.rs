//! Two members answer one customer: typing shows, the first reply wins, the second is held back until its author
//! decides.
//!
//! ```text
//! cargo run -p lockstep-client --example lease -- FOLDER LINK LINK
//! ```
//! The links must be of two members.

#[path = "support/common.rs"]
mod support;

use lockstep_client::{MessageState, Resolution};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [one, two] = support::devices(["one", "two"]).await?;
    let (first, second) = (one.member()?, two.member()?);
    if first == second {
        return Err("the links must be of two members".into());
    }
    let conversation = support::shared(&one, &two).await?;
    let mut here = one.open_conversation(conversation).await?;
    let mut there = two.open_conversation(conversation).await?;

    one.typing(conversation).await?;
    there.until(|shown| shown.typing == Some(first)).await?;
    println!("member {second} sees that member {first} types");

    // While the lease is live, a reply by someone else loses.
    let late = two.send(conversation, "We can ship on Monday.").await?;
    let held = |state| matches!(state, MessageState::Held(_));
    there.until(|shown| shown.message(late).is_some_and(|message| held(message.state))).await?;
    let winner = one.send(conversation, "We can ship today.").await?;
    for view in [&mut here, &mut there] {
        view.until(|shown| {
            let is = |id, state| shown.message(id).is_some_and(|message| message.state == state);
            is(winner, MessageState::Sent) && shown.message(late).is_some_and(|message| held(message.state))
        })
        .await?;
    }
    for id in [winner, late] {
        here.shown().message(id).into_iter().for_each(|message| println!("{}", support::line(message)));
    }
    two.resolve(conversation, late, Resolution::Discard).await?;
    let discarded = |shown: &lockstep_client::Shown| {
        shown.message(late).is_some_and(|message| message.state == MessageState::Discarded)
    };
    here.until(discarded).await?;
    here.shown().message(late).into_iter().for_each(|message| println!("{}", support::line(message)));
    one.close().await;
    two.close().await;
    Ok(())
}
