//! Keep times and shredding with the real hub: the verbs, and what devices are left with.

use std::path::Path;

use lockstep_client::{ConversationId, Device};
use lockstep_e2e::{Team, lockstep, within};
use serde_json::Value;

/// Waits until a device shows the conversation no more.
async fn gone(device: &Device, conversation: ConversationId) {
    let mut list = device.watch_conversations();
    let left = async {
        while list.current().iter().any(|known| known.id == conversation) {
            list.changed().await.expect("the device is open");
        }
    };
    within("the end of the conversation", left).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shredded_conversation_is_gone_from_the_hub_and_from_every_device() {
    let mut team = Team::new();
    let (doomed, other) = (team.conversation(), team.conversation());
    let anna = team.device(2).await;
    let (bens_home, bens_link) = (team.home(), team.link(3));
    let ben = within("enrolment", Device::enrol(&bens_home, &bens_link, "Ben's phone")).await.unwrap();
    let mut view = team.open(&ben, doomed).await;
    let mut elsewhere = team.open(&anna, other).await;
    within("the conversation", anna.conversation(doomed)).await.unwrap();
    let notes =
        [anna.note(doomed, "the heron is in the reeds").await.unwrap(), anna.note(doomed, "still").await.unwrap()];
    within("the notes", view.until(|shown| notes.iter().all(|id| shown.message(*id).is_some()))).await.unwrap();
    let stays = ben.note(other, "this one stays").await.unwrap();
    within("the other note", elsewhere.until(|shown| shown.message(stays).is_some())).await.unwrap();
    drop(view);
    // Ben's phone is in a drawer while it happens.
    ben.close().await;

    // Nobody is asked where nobody can answer.
    let id = doomed.to_string();
    let unasked = lockstep(team.hub.folder(), &["shred", "--conversation", &id]);
    assert_eq!(unasked.status.code(), Some(64), "{unasked:?}");
    let report = team.hub.json(&["shred", "--conversation", &id, "--yes"]);
    assert_eq!((&report["messages"], &report["documents"]), (&Value::from(2), &Value::from(1)));
    assert!(report["keys"].as_u64().unwrap() >= 1, "{report}");
    let away = report["devices_away"].as_array().unwrap();
    assert_eq!(away.len(), 1, "{report}");
    assert_eq!(away[0]["name"], "Ben's phone");
    gone(&anna, doomed).await;
    assert!(elsewhere.shown().message(stays).is_some());

    // It stays so, and the hub is whole.
    team.hub.kill();
    team.hub.restart();
    let listed = team.hub.json(&["conversation", "list"]);
    assert_eq!(listed["conversations"].as_array().unwrap().len(), 1);
    let again = lockstep(team.hub.folder(), &["shred", "--conversation", &id, "--yes"]);
    assert!(!again.status.success());
    assert_eq!(audit(&team, "shredded"), 1);
    let ben = Device::open(&bens_home).await.unwrap();
    gone(&ben, doomed).await;
    within("everything else", ben.conversation(other)).await.unwrap();
    within("the hub", anna.synced()).await.unwrap();
    let doctor = lockstep(team.hub.folder(), &["doctor"]);
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));

    // In plain words, too.
    let text = lockstep(team.hub.folder(), &["shred", "--conversation", &other.to_string(), "--yes"]);
    let text = String::from_utf8(text.stdout).unwrap();
    for part in ["gone: 1 messages", "What remains:", "audit", "keys/data.keys", "seen, copied or photographed"] {
        assert!(text.contains(part), "{text}");
    }
}

/// Kills in the middle of a shredding, at drawn moments: before its entry, between that and its keys, and after.
const KILLS_MS: [u64; 6] = [2, 5, 9, 14, 22, 40];

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_killed_while_it_shreds_goes_on_until_the_keys_are_gone() {
    let mut team = Team::new();
    let anna = team.device(2).await;
    let mut shredded = 0;
    for kill_ms in KILLS_MS {
        let doomed = team.conversation();
        within("the conversation", anna.conversation(doomed)).await.unwrap();
        let mut view = team.open(&anna, doomed).await;
        let mut newest = anna.note(doomed, "the heron is in the reeds").await.unwrap();
        for _ in 0..20 {
            newest = anna.note(doomed, "and stays there").await.unwrap();
        }
        within("the notes", view.until(|shown| shown.message(newest).is_some())).await.unwrap();
        within("their confirmation", anna.synced()).await.unwrap();
        // It goes on writing meanwhile: what comes too late is told so, or dies with the rest.
        let (folder, id) = (team.hub.folder().to_owned(), doomed.to_string());
        let verb = std::thread::spawn(move || lockstep(&folder, &["shred", "--conversation", &id, "--yes"]));
        let kill = tokio::time::sleep(std::time::Duration::from_millis(kill_ms));
        let writes = async {
            while anna.note(doomed, "one more").await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = kill => {}
            () = writes => {}
        }
        team.hub.kill();
        let told = verb.join().unwrap().status.success();
        team.hub.restart();
        anna.connect().await.unwrap();
        let listed = team.hub.json(&["conversation", "list"]);
        let stands = listed["conversations"].as_array().unwrap().iter().any(|row| row["id"] == doomed.to_string());
        assert!(!(stands && told), "what was said to be shredded is gone");
        if stands {
            team.hub.json(&["shred", "--conversation", &doomed.to_string(), "--yes"]);
        }
        shredded += 1;
        gone(&anna, doomed).await;
        let destroyed = async {
            while team.hub.json(&["key", "status"])["destroyed"].as_u64() < Some(shredded) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        within("the end of its keys", destroyed).await;
        assert_eq!(audit(&team, "shredded") as u64, shredded);
    }
    team.hub.kill();
    team.hub.restart();
    let doctor = lockstep(team.hub.folder(), &["doctor"]);
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
    team.hub.json(&["audit", "verify"]);
}

/// Rows of the audit log of a kind.
fn audit(team: &Team, kind: &str) -> usize {
    let rows = lockstep(team.hub.folder(), &["--json", "audit", "--what", kind]);
    assert!(rows.status.success(), "{rows:?}");
    String::from_utf8(rows.stdout).unwrap().lines().count()
}

fn fails(folder: &Path, arguments: &[&str]) {
    let output = lockstep(folder, arguments);
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_times_are_set_and_shown() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let anna = team.device(2).await;
    let id = conversation.to_string();
    let policy = |team: &Team| team.hub.json(&["policy", "show"])["keep"].clone();
    let own = |team: &Team| team.hub.json(&["conversation", "list"])["conversations"][0]["keep"].clone();
    assert_eq!((policy(&team), own(&team)), (Value::from("forever"), Value::Null));
    team.hub.json(&["policy", "set", "--keep", "90d"]);
    team.hub.json(&["conversation", "keep", &id, "30d"]);
    assert_eq!((policy(&team), own(&team)), (Value::from("90d"), Value::from("30d")));
    // Each by itself; what is short of a week is refused before anybody is asked.
    team.hub.json(&["policy", "set", "--services-lock", "true"]);
    for refused in ["6d", "0d", "90", "36501d", "soon"] {
        fails(team.hub.folder(), &["policy", "set", "--keep", refused]);
        fails(team.hub.folder(), &["conversation", "keep", &id, refused]);
    }
    assert_eq!((policy(&team), own(&team)), (Value::from("90d"), Value::from("30d")));
    let told = anna.until(|_| anna.team().is_some_and(|team| team.policy.keep.is_some()));
    within("the policy on a device", told).await.unwrap();
    team.hub.json(&["conversation", "keep", &id, "team"]);
    team.hub.json(&["policy", "set", "--keep", "forever"]);
    assert_eq!((policy(&team), own(&team)), (Value::from("forever"), Value::Null));
    assert_eq!(audit(&team, "keep-changed"), 2);
}
