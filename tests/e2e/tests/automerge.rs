//! What a device exports is what stock JavaScript Automerge opens and merges.

use std::path::{Path, PathBuf};
use std::process::Command;

use lockstep_e2e::{Hub, Team, lockstep, within};
use serde_json::Value;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/js/merge.mjs");

fn export(hub: &Hub, home: &Path, conversation: &str, to: &Path, wait: &str) -> Vec<Value> {
    let arguments = ["--json", "client", "--wait", wait, "--home", home.to_str().unwrap()];
    let verb = ["export", conversation, "--automerge", "--to", to.to_str().unwrap()];
    let output = lockstep(hub.folder(), &[&arguments[..], &verb].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    printed["files"].as_array().unwrap().clone()
}

/// Enrols a device by the command line and answers its folder.
fn enrol(team: &mut Team, member: u32) -> PathBuf {
    let (home, link) = (team.home(), team.link(member).to_string());
    let output = lockstep(team.hub.folder(), &["client", "--home", home.to_str().unwrap(), "enrol", &link]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_files_merge_in_both_orders_to_equal_heads() {
    let mut team = Team::new();
    let conversation = team.conversation().to_string();
    let (one, other) = (enrol(&mut team, 2), enrol(&mut team, 3));
    let folder = team.hub.folder().to_owned();
    let note = |home: &Path, wait: &str, body: &str| {
        let arguments = ["client", "--wait", wait, "--home", home.to_str().unwrap(), "note", &conversation, body];
        let output = lockstep(&folder, &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    for number in 0..3 {
        note(&one, "20", &format!("one {number}"));
        note(&other, "20", &format!("other {number}"));
    }
    let synced = lockstep(team.hub.folder(), &["client", "--home", one.to_str().unwrap(), "sync"]);
    assert!(synced.status.success());
    // Without the hub each writes on: their documents differ until they are merged.
    team.hub.kill();
    note(&one, "0", "one, alone");
    note(&other, "0", "other, alone");
    let exports = tempfile::tempdir().unwrap();
    let (ones, others) = (exports.path().join("one"), exports.path().join("other"));
    assert!(!export(&team.hub, &one, &conversation, &ones, "0").is_empty());
    assert!(!export(&team.hub, &other, &conversation, &others, "0").is_empty());

    let merged = tokio::task::spawn_blocking(move || Command::new("node").arg(SCRIPT).arg(&ones).arg(&others).output());
    let output = within("the merge", merged).await.unwrap().expect("node is installed, see server/setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documents: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let document = documents.iter().find(|document| !document["bodies"][0].as_array().unwrap().is_empty()).unwrap();
    let heads = document["heads"].as_array().unwrap();
    assert_ne!(heads[0], heads[1], "each had something that the other had not");
    assert_eq!(heads[2], heads[3], "both orders");
    let bodies = document["bodies"].as_array().unwrap();
    assert_eq!(bodies[0], bodies[1]);
    let bodies: Vec<&str> = bodies[0].as_array().unwrap().iter().map(|body| body.as_str().unwrap()).collect();
    assert_eq!(bodies.len(), 8);
    assert!(bodies.contains(&"one, alone") && bodies.contains(&"other, alone"), "{bodies:?}");
}
