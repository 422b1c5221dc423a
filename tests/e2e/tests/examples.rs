//! The SDK's examples against the real hub.

use std::process::Command;

use lockstep_e2e::{Team, program};

/// Runs an example with a folder and one link for each member; it must end well.
fn run(example: &str, members: &[u32]) -> String {
    let mut team = Team::new();
    let _conversation = team.conversation();
    let folder = team.home();
    let links: Vec<String> = members.iter().map(|member| team.link(*member).to_string()).collect();
    let output = Command::new(program(&format!("examples/{example}"))).arg(&folder).args(links).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn hello() {
    assert!(!run("hello", &[1]).is_empty());
}

#[test]
fn two_devices() {
    assert!(!run("two_devices", &[2, 2]).is_empty());
}

#[test]
fn offline() {
    assert!(!run("offline", &[1, 2]).is_empty());
}

#[test]
fn lease() {
    assert!(run("lease", &[2, 3]).contains("types"));
}
