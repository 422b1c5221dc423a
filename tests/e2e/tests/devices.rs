//! Devices against the real hub: what people see.

use lockstep_client::{CollisionCause, Device, Error, Event, MessageState, Notice, Resolution};
use lockstep_e2e::{Team, is_sent, within};

#[tokio::test(flavor = "multi_thread")]
async fn three_devices_see_the_same_and_one_of_two_answers_wins() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let (owner, anna, ben, chat) =
        (team.device(1).await, team.device(2).await, team.device(3).await, team.device(9).await);
    let mut views = [
        team.open(&owner, conversation).await,
        team.open(&anna, conversation).await,
        team.open(&ben, conversation).await,
    ];
    within("the channel's conversation", chat.conversation(conversation)).await.unwrap();
    let question = chat.receive(conversation, None, "Do you have basmati rice?").await.unwrap();
    for view in &mut views {
        within("the question", view.until(|shown| shown.message(question).is_some())).await.unwrap();
    }
    // Both answer, neither having seen the other's.
    let (one, other) =
        tokio::join!(anna.send(conversation, "Yes, 40 bags."), ben.send(conversation, "Yes, from Karnal."));
    let (one, other) = (one.unwrap(), other.unwrap());
    let mut lists = Vec::new();
    for view in &mut views {
        let settled = within(
            "both verdicts",
            view.until(|shown| {
                [one, other]
                    .iter()
                    .all(|id| shown.message(*id).is_some_and(|message| message.state != MessageState::Pending))
            }),
        );
        let shown = settled.await.unwrap();
        lists.push(shown.messages.clone());
    }
    assert_eq!(lists[0], lists[1]);
    assert_eq!(lists[1], lists[2]);
    let state = |id| lists[0].iter().find(|message| message.id == id).unwrap().state;
    let (held, winner) = if is_sent(&state(one)) { (other, one) } else { (one, other) };
    assert!(is_sent(&state(winner)), "{:?}", state(winner));
    let MessageState::Held(collision) = state(held) else { panic!("{:?}", state(held)) };
    assert_eq!(collision.cause, CollisionCause::Window);
    assert_eq!(collision.winner, Some(winner));

    let loser = if held == one { &anna } else { &ben };
    loser.resolve(conversation, held, Resolution::Discard).await.unwrap();
    for view in &mut views {
        let discarded = view.until(|shown| shown.message(held).unwrap().state == MessageState::Discarded);
        within("the discard", discarded).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_offline_comes_when_the_hub_is_back() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let (anna, owner) = (team.device(2).await, team.device(1).await);
    let mut view = team.open(&owner, conversation).await;
    within("the conversation", anna.conversation(conversation)).await.unwrap();
    team.hub.kill();
    within("the break", anna.until(|status| !status.online)).await.unwrap();
    let note = anna.note(conversation, "written while the hub was away").await.unwrap();
    team.hub.restart();
    within("the note elsewhere", view.until(|shown| shown.message(note).is_some())).await.unwrap();
    within("the outbox", anna.synced()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_closed_with_a_full_outbox_sends_it_when_it_is_opened_again() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let owner = team.device(1).await;
    let mut view = team.open(&owner, conversation).await;
    let (home, link) = (team.home(), team.link(2));
    let anna = within("enrolment", Device::enrol(&home, &link, "phone")).await.unwrap();
    within("the conversation", anna.conversation(conversation)).await.unwrap();
    team.hub.kill();
    within("the break", anna.until(|status| !status.online)).await.unwrap();
    let mut notes = Vec::new();
    for number in 0..50 {
        notes.push(anna.note(conversation, &format!("note {number}")).await.unwrap());
    }
    anna.close().await;
    team.hub.restart();
    let anna = Device::open(&home).await.unwrap();
    within("the outbox", anna.synced()).await.unwrap();
    within("all notes", view.until(|shown| notes.iter().all(|id| shown.message(*id).is_some()))).await.unwrap();
    let order: Vec<_> = view.messages().iter().map(|message| message.id).collect();
    assert_eq!(order, notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_out_at_once() {
    let mut team = Team::new();
    let (anna, owner) = (team.device(2).await, team.device(1).await);
    let mut events = anna.events();
    team.hub.json(&["device", "revoke", &anna.id().to_string()]);
    let stopped = async {
        loop {
            if let Some(Event::Notice(Notice::Stopped(_))) = events.next().await {
                return;
            }
        }
    };
    within("the end of the revoked device's connection", stopped).await;
    assert!(!anna.status().online);
    assert!(owner.status().online);
    let listed = team.hub.json(&["device", "list"]);
    assert_eq!(listed["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_refused() {
    let mut team = Team::new();
    let mut link = team.link(1);
    link.pinned.0[0] ^= 1;
    let home = team.home();
    let refused = within("the refusal", Device::enrol(&home, &link, "test")).await;
    assert!(matches!(refused, Err(Error::Connect(_))), "{refused:?}");

    // A hub whose key changed is another hub for its devices.
    let home = team.home();
    let device = within("enrolment", Device::enrol(&home, &team.link(1), "test")).await.unwrap();
    let mut events = device.events();
    team.hub.kill();
    let tls = team.hub.folder().join("tls");
    std::fs::remove_dir_all(&tls).unwrap();
    team.hub.restart();
    let trouble = async {
        loop {
            if let Some(Event::Trouble(trouble)) = events.next().await
                && trouble.to_string().contains("certificate")
            {
                return;
            }
        }
    };
    within("the refusal of the new certificate", trouble).await;
    assert!(!device.status().online);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_seen_by_others_and_stands_in_their_way() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let (anna, ben) = (team.device(2).await, team.device(3).await);
    let mut bens = team.open(&ben, conversation).await;
    let mut annas = team.open(&anna, conversation).await;
    anna.typing(conversation).await.unwrap();
    within("the lease elsewhere", bens.until(|shown| shown.typing.is_some())).await.unwrap();
    let reply = ben.send(conversation, "I was faster").await.unwrap();
    let held =
        annas.until(|shown| shown.message(reply).is_some_and(|message| matches!(message.state, MessageState::Held(_))));
    within("the collision", held).await.unwrap();
    let state = bens.until(|shown| {
        shown.message(reply).is_some_and(|message| message.state != MessageState::Pending)
    });
    let shown = within("the verdict", state).await.unwrap();
    let MessageState::Held(collision) = shown.message(reply).unwrap().state else { panic!("it is held") };
    assert_eq!(collision.cause, CollisionCause::Lease);
}
