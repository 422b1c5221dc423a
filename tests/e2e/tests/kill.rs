//! kill -9 of the hub and of devices: nothing acknowledged is lost, nothing is doubled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lockstep_client::{ConversationId, Device, MessageId, MessageState};
use lockstep_e2e::{Team, lockstep, program, within};

/// Cycles of the test command; `LOCKSTEP_KILLS=500 cargo nextest run -p lockstep-e2e kill` for more.
const KILLS: usize = 30;
/// Messages that must be confirmed between two kills, so that each falls into work.
const CONFIRMED_BETWEEN: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_hub_loses_and_doubles_nothing() {
    let kills = std::env::var("LOCKSTEP_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number of kills"));
    let mut team = Team::new();
    let conversation = team.conversation();
    let stop = Arc::new(AtomicBool::new(false));
    let confirmed = Arc::new(AtomicUsize::new(0));
    let (mut writers, mut devices) = (Vec::new(), Vec::new());
    for member in [1, 2, 3] {
        let device = Arc::new(team.device(member).await);
        within("the conversation", device.conversation(conversation)).await.unwrap();
        let (stop, confirmed) = (Arc::clone(&stop), Arc::clone(&confirmed));
        writers.push(tokio::spawn(write(Arc::clone(&device), conversation, stop, confirmed)));
        devices.push(device);
    }
    for _ in 0..kills {
        let goal = confirmed.load(Ordering::Relaxed) + CONFIRMED_BETWEEN;
        let progress = async {
            while confirmed.load(Ordering::Relaxed) < goal {
                tokio::task::yield_now().await;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        within("confirmations", progress).await;
        team.hub.kill();
        team.hub.restart();
        // Not waiting for the next attempt: that a device comes back by itself, other tests show.
        for device in &devices {
            device.connect().await.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = Vec::new();
    for writer in writers {
        written.extend(within("a writer's end", writer).await.unwrap());
    }
    for device in &devices {
        within("its outbox", device.synced()).await.unwrap();
        assert!(device.not_sent().is_empty());
    }
    // A device that knows nothing gets everything from the hub's disk alone.
    devices.push(Arc::new(team.device(1).await));
    let mut first: Option<Vec<MessageId>> = None;
    for device in &devices {
        let ids = all_messages(device, conversation, written.len()).await;
        let mut expected = written.clone();
        expected.sort_unstable();
        assert_eq!(ids.len(), expected.len(), "lost or doubled");
        assert_eq!(ids, expected);
        assert_eq!(first.get_or_insert_with(|| ids.clone()), &ids);
    }
}

/// Writes notes one after the other; every one counts when the hub has confirmed it.
async fn write(
    device: Arc<Device>,
    conversation: ConversationId,
    stop: Arc<AtomicBool>,
    confirmed: Arc<AtomicUsize>,
) -> Vec<MessageId> {
    let mut view = device.open_conversation(conversation).await.unwrap();
    let mut ids = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let id = device.note(conversation, &format!("note {}", ids.len())).await.unwrap();
        ids.push(id);
        let sent = view.until(|shown| shown.message(id).is_some_and(|message| message.state != MessageState::Pending));
        within("a confirmation", sent).await.unwrap();
        confirmed.fetch_add(1, Ordering::Relaxed);
    }
    ids
}

/// Every message of the conversation, older segments included.
async fn all_messages(device: &Device, conversation: ConversationId, count: usize) -> Vec<MessageId> {
    let mut view = device.open_conversation(conversation).await.unwrap();
    loop {
        let before = view.messages().len();
        if before >= count {
            break;
        }
        device.show_older(conversation).await.unwrap();
        within("older messages", view.until(|shown| shown.messages.len() > before)).await.unwrap();
    }
    let mut seen: BTreeMap<MessageId, usize> = BTreeMap::new();
    for message in view.messages() {
        *seen.entry(message.id).or_default() += 1;
        assert_eq!(message.state, MessageState::Sent);
    }
    assert!(seen.values().all(|count| *count == 1));
    seen.into_keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_killed_while_it_sends_sends_everything_once() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let owner = team.device(1).await;
    let mut view = team.open(&owner, conversation).await;
    let (home, link) = (team.home(), team.link(2));
    let home_text = home.to_str().unwrap();
    let enrolled = lockstep(team.hub.folder(), &["client", "--home", home_text, "enrol", &link.to_string()]);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let mut killed = 0;
    for number in 0..20 {
        let mut sending = std::process::Command::new(program("lockstep"))
            .args(["client", "--home", home_text, "note", &conversation.to_string(), &format!("note {number}")])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Killed at another moment each time: after so many looks at whether it has ended by itself.
        let mut looks = 0;
        while sending.try_wait().unwrap().is_none() {
            looks += 1;
            if looks > number * 4 {
                sending.kill().unwrap();
                sending.wait().unwrap();
                killed += 1;
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    assert!(killed > 0, "no device was killed");
    let synced = lockstep(team.hub.folder(), &["--json", "client", "--home", home_text, "sync"]);
    assert!(synced.status.success(), "{}", String::from_utf8_lossy(&synced.stderr));
    let last = lockstep(team.hub.folder(), &["client", "--home", home_text, "note", &conversation.to_string(), "last"]);
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    let complete = view.until(|shown| shown.messages.last().is_some_and(|message| message.body == "last"));
    within("the last note", complete).await.unwrap();
    let mut bodies: Vec<&str> = view.messages().iter().map(|message| message.body.as_str()).collect();
    let count = bodies.len();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), count, "a note came twice");
    assert!(view.messages().iter().all(|message| message.state == MessageState::Sent));
}
