//! Sensitive words: what holds one is marked on every device, also what was written before the list had it.

use std::time::Duration;

use lockstep_e2e::{Team, within};
use lockstep_protocol::entry::Category;
use serde_json::Value;

fn is_scanned(team: &Team) -> bool {
    team.hub.json(&["words", "list", "--added"])["scan"]["done"] == Value::Bool(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_marks_its_message_now_and_when_the_list_learns_it() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let (anna, ben) = (team.device(2).await, team.device(3).await);
    let mut view = team.open(&ben, conversation).await;
    let secret = anna.note(conversation, "the p a s s w o r d is swordfish").await.unwrap();
    let bluebird = anna.note(conversation, "Project  Blue-Bird begins on Monday").await.unwrap();
    let shown = view.until(|shown| shown.message(secret).is_some_and(|message| !message.sensitive.is_empty()));
    within("the mark of a shipped word", shown).await.unwrap();
    assert_eq!(view.shown().message(secret).unwrap().sensitive, [Category::Password]);
    within("the other note", view.until(|shown| shown.message(bluebird).is_some())).await.unwrap();
    assert!(view.shown().message(bluebird).unwrap().sensitive.is_empty());

    let found = team.hub.json(&["words", "test", "about PROJECT BLUEBIRD"]);
    assert_eq!(found["hits"].as_array().unwrap().len(), 0);
    team.hub.json(&["words", "add", "--category", "contract", "project bluebird"]);
    let found = team.hub.json(&["words", "test", "about PROJECT BLUEBIRD"]);
    assert_eq!(found["hits"][0]["category"], "contract");
    let shown = view.until(|shown| shown.message(bluebird).is_some_and(|message| !message.sensitive.is_empty()));
    within("the mark of an added word", shown).await.unwrap();
    assert_eq!(view.shown().message(bluebird).unwrap().sensitive, [Category::Contract]);
    let scanned = async {
        while !is_scanned(&team) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the end of the look at everything stored", scanned).await;

    // The list and the marks survive a restart; a device that comes new has them all.
    team.hub.kill();
    team.hub.restart();
    let words = team.hub.json(&["words", "list", "--added"]);
    assert_eq!(words["words"][0]["text"], "project bluebird");
    assert!(is_scanned(&team));
    let late = team.device(2).await;
    let mut view = team.open(&late, conversation).await;
    let marked = |id| {
        move |shown: &lockstep_client::Shown| shown.message(id).is_some_and(|message| !message.sensitive.is_empty())
    };
    within("the marks on a new device", view.until(marked(secret))).await.unwrap();
    within("the marks on a new device", view.until(marked(bluebird))).await.unwrap();
}
